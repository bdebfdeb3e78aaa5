"""The system's health as it is shown."""

from typing_extensions import TypedDict

from schedora.application.queries.health import HealthReport


class WorkerCountsView(TypedDict):
    total: int
    active: int
    stale: int


class HealthView(TypedDict):
    """``status``: ``healthy``, ``degraded`` or ``unhealthy``. ``database`` and ``redis``: ``up``, ``down``,
    or ``disabled`` where none is configured.
    """

    status: str
    database: str
    redis: str
    workers: WorkerCountsView


class ProbeView(TypedDict):
    status: str


def health_view(report: HealthReport) -> HealthView:
    return {
        "status": report.status,
        "database": report.database,
        "redis": report.redis,
        "workers": {
            "total": report.workers_total,
            "active": report.workers_active,
            "stale": report.workers_stale,
        },
    }
