"""What this process has answered over HTTP: counted and timed here, shown beside the shared totals."""

from schedora.adapters.telemetry.local_counters import Distribution
from schedora.application.ports.shared_counters import Series

REQUESTS = "http_requests_total"
DURATION = "http_request_duration_seconds"
BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)


class HttpMetrics:
    """Used from the event loop alone."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int], int] = {}
        self._durations: dict[tuple[str, str], Distribution] = {}

    def observe(self, method: str, route: str, status: int, duration_seconds: float) -> None:
        """``route`` is the template of the address, never the address: labels must stay few."""
        answered = (method, route, status)
        self._requests[answered] = self._requests.get(answered, 0) + 1
        durations = self._durations.get((method, route))
        if durations is None:
            durations = self._durations[method, route] = Distribution(BUCKETS_SECONDS)
        durations.add(duration_seconds)

    def read(self) -> dict[Series, float]:
        told: dict[Series, float] = {}
        for (method, route, status), count in self._requests.items():
            labels = (("method", method), ("route", route), ("status", str(status)))
            told[Series(REQUESTS, labels)] = count
        for (method, route), durations in self._durations.items():
            told |= durations.series(DURATION, (("method", method), ("route", route)))
        return told
