import pytest

from schedora.adapters.telemetry.http_metrics import HttpMetrics
from schedora.application.ports.shared_counters import Series


def test_answers_are_counted_by_method_route_and_status() -> None:
    metrics = HttpMetrics()
    metrics.observe("GET", "/jobs", 200, 0.002)
    metrics.observe("GET", "/jobs", 200, 3)
    metrics.observe("GET", "/jobs", 422, 0.001)
    metrics.observe("POST", "/jobs", 201, 0.001)

    told = metrics.read()

    def requests(method: str, status: str) -> float:
        return told[
            Series("http_requests_total", (("method", method), ("route", "/jobs"), ("status", status)))
        ]

    assert (requests("GET", "200"), requests("GET", "422"), requests("POST", "201")) == (2, 1, 1)
    labels = (("method", "GET"), ("route", "/jobs"))
    assert told[Series("http_request_duration_seconds_count", labels)] == 3
    assert told[Series("http_request_duration_seconds_sum", labels)] == pytest.approx(3.003)
    assert told[Series("http_request_duration_seconds_bucket", (*labels, ("le", "0.001")))] == 1
    assert told[Series("http_request_duration_seconds_bucket", (*labels, ("le", "0.0025")))] == 2
    assert told[Series("http_request_duration_seconds_bucket", (*labels, ("le", "+Inf")))] == 3


def test_reading_changes_nothing() -> None:
    metrics = HttpMetrics()
    metrics.observe("GET", "/jobs", 200, 0.002)

    assert metrics.read() == metrics.read()
