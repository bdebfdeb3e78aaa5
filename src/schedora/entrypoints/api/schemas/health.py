"""The system's health as it is shown."""

from typing_extensions import TypedDict

from schedora.application.queries.doctor import Diagnosis
from schedora.application.queries.health import HealthReport
from schedora.diagnosis.doctor.finding import Detail
from schedora.entrypoints.api.answers import seconds
from schedora.entrypoints.api.schemas.fields import Utc


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


class FindingView(TypedDict):
    """``severity``: ``ok`` for what is worth knowing, ``warning`` or ``critical``. ``details`` says in values what ``found``
    says in words.
    """

    code: str
    severity: str
    check: str
    found: str
    consequence: str
    fix: str
    details: dict[str, Detail]


class CheckView(TypedDict):
    """``status``: the worst severity that it has found, ``ok`` where it found nothing, ``not_done`` where it could not be
    done. ``not_done``: why it, or a part of it, could not be done.
    """

    name: str
    status: str
    not_done: str | None


class DeepHealthView(TypedDict):
    """``status``: the worst severity found. ``findings``: worst first."""

    status: str
    examined_at: Utc
    seconds: float
    findings: list[FindingView]
    checks: list[CheckView]


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


def deep_health_view(diagnosis: Diagnosis) -> DeepHealthView:
    return {
        "status": diagnosis.severity.value,
        "examined_at": diagnosis.at,
        "seconds": round(seconds(diagnosis.lasted), 3),
        "findings": [
            {
                "code": finding.code,
                "severity": finding.severity.value,
                "check": check,
                "found": finding.found,
                "consequence": finding.consequence,
                "fix": finding.fix,
                "details": dict(finding.details),
            }
            for check, finding in diagnosis.findings
        ],
        "checks": [
            {"name": check.name, "status": check.status, "not_done": check.not_done}
            for check in diagnosis.checks
        ],
    }
