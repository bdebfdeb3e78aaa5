"""Metrics: their names, their labels, and that they move as they should."""

import re
from collections.abc import Callable

import pytest

from tests.acceptance.api import Api, fresh, submission
from tests.programs import until

NAMES = {
    "jobs_created_total": "counter", "jobs_succeeded_total": "counter", "jobs_failed_total": "counter",
    "jobs_retried_total": "counter", "jobs_dead_total": "counter", "jobs_fenced_total": "counter",
    "job_duration_seconds": "histogram", "job_queue_latency_seconds": "histogram",
    "queue_length": "gauge", "queue_dlq_length": "gauge", "queue_enqueued_total": "counter",
    "workers_active": "gauge", "workers_stale": "gauge",
    "http_requests_total": "counter", "http_request_duration_seconds": "histogram",
}  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_each_metric_is_exposed_by_its_name(api: Api, prefix: str) -> None:
    answer = api.http.get(f"{prefix}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", answer.text, re.MULTILINE))
    assert kinds.items() >= NAMES.items()
    helped = set(re.findall(r"^# HELP (\S+) \S", answer.text, re.MULTILINE))
    assert helped >= NAMES.keys()


def moved(api: Api, expected: dict[str, float], doing: Callable[[], object]) -> None:
    """Whether samples grow by what is expected once ``doing`` is done, and no further."""
    before = api.metrics()
    doing()

    def differences() -> dict[str, float]:
        after = api.metrics()
        return {sample: after.get(sample, 0) - before.get(sample, 0) for sample in expected}

    until(lambda: differences() == expected, f"the metrics to move by {expected}, not {differences()}")


def test_a_success_counts(api: Api) -> None:
    queue = fresh("queue")
    moved(
        api,
        {
            'jobs_created_total{job_type="counted_success"}': 1,
            'jobs_succeeded_total{job_type="counted_success"}': 1,
            'jobs_failed_total{job_type="counted_success"}': 0,
            'job_duration_seconds_count{job_type="counted_success",status="success"}': 1,
            'job_duration_seconds_bucket{job_type="counted_success",le="+Inf",status="success"}': 1,
            f'job_queue_latency_seconds_count{{queue="{queue}"}}': 1,
            f'queue_enqueued_total{{queue_name="{queue}"}}': 1,
            'http_requests_total{method="POST",route="/api/v1/jobs",status="201"}': 1,
        },
        lambda: api.ended(api.submit(type="counted_success", queue=queue)["job_id"]),
    )


def test_a_failure_counts_each_attempt_and_each_retry(api: Api) -> None:
    queue = fresh("queue")
    moved(
        api,
        {
            'jobs_created_total{job_type="counted_failure"}': 1,
            'jobs_failed_total{job_type="counted_failure"}': 3,
            'jobs_retried_total{job_type="counted_failure"}': 2,
            'jobs_dead_total{job_type="counted_failure"}': 1,
            'jobs_succeeded_total{job_type="counted_failure"}': 0,
            f'queue_dlq_length{{queue_name="{queue}"}}': 1,
        },
        lambda: api.ended(api.submit(type="counted_failure", max_retries=2, queue=queue)["job_id"]),
    )


def test_a_queue_has_a_length(api: Api) -> None:
    queue = fresh("queue")
    length = f'queue_length{{queue_name="{queue}"}}'
    moved(api, {length: 3}, lambda: [api.submit(queue=queue) for _ in range(3)])
    moved(api, {length: -3}, lambda: api.post("/queue/purge", queue=queue))


def test_a_refused_or_repeated_submission_creates_nothing(api: Api) -> None:
    job_type = fresh("type")
    body = submission(type=job_type)

    def submit() -> None:
        api.post("/jobs", body)
        api.post("/jobs", body)
        api.post("/jobs", {**body, "priority": 11})
        api.post("/jobs/batch", {"jobs": [body, submission(type=job_type)]})

    moved(api, {f'jobs_created_total{{job_type="{job_type}"}}': 2}, submit)


def test_requests_are_counted_by_route_not_by_address(api: Api) -> None:
    moved(
        api,
        {
            'http_requests_total{method="GET",route="/api/v1/jobs/{job_id}",status="404"}': 3,
            'http_request_duration_seconds_count{method="GET",route="/api/v1/jobs/{job_id}"}': 3,
        },
        lambda: [api.get(f"/jobs/0198c0de-0000-7000-8000-00000000000{n}") for n in range(3)],
    )
    for n in range(3):
        api.http.get(f"/{fresh('nowhere')}-{n}")
        api.http.request(fresh("METHOD").upper().replace("-", ""), "/health")
    text = api.http.get("/metrics").text
    assert "nowhere" not in text
    assert "METHOD" not in text


def test_names_in_labels_are_escaped(api: Api) -> None:
    job_type = fresh('quo"te\\and\nline')
    api.submit(type=job_type)
    escaped = job_type.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    until(
        lambda: f'jobs_created_total{{job_type="{escaped}"}} 1.0' in api.http.get("/metrics").text, "the type"
    )
    assert all(
        re.fullmatch(r"[a-z_]+(\{.*\})? [0-9.e+-]+|# .*", line)
        for line in api.http.get("/metrics").text.splitlines()
    )


def test_workers_are_counted(api: Api) -> None:
    def listed(status: str) -> int:
        total: int = api.get("/workers", status_filter=status).json()["total"]
        return total

    def counted() -> bool:
        metrics = api.metrics()
        told = (metrics["workers_active"], metrics["workers_stale"])
        return told == (listed("active"), listed("stale"))

    until(counted, "the workers that are listed to be counted")  # those of other tests fall silent meanwhile
    assert api.metrics()["workers_active"] >= 1
    assert api.metrics()["jobs_fenced_total"] >= 0
