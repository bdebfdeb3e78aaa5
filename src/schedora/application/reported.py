"""What is read of processes' reports for those who examine them."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from schedora.application.ports.metrics import Gauge
from schedora.application.ports.process_reports import ProcessReport
from schedora.diagnosis.doctor.clocks import ClockReading
from schedora.diagnosis.doctor.connections import Pools
from schedora.diagnosis.doctor.processes import RunningProcess
from schedora.domain.process import ProcessKind

REPORT_DELAY_MAX = timedelta(seconds=5)
"""So long a report may be on its way to the store, for all that its clock tells."""

_LISTENING = frozenset({ProcessKind.WORKER, ProcessKind.UP})


def running_processes(reports: Iterable[ProcessReport]) -> list[RunningProcess]:
    """How each stands, as its gauges tell."""
    processes = []
    for report in reports:
        lag, redis_up = _gauge(report, Gauge.EVENT_LOOP_LAG), _gauge(report, Gauge.REDIS_UP)
        processes.append(
            RunningProcess(
                name=report.identity.name,
                host=report.identity.hostname,
                kind=report.identity.kind,
                version=report.identity.version,
                running=report.seen_at - report.started_at,
                loop_lag=None if lag is None else timedelta(seconds=lag),
                stuck_threads=int(_gauge(report, Gauge.STUCK_THREADS) or 0),
                redis_up=None if redis_up is None else bool(redis_up),
            )
        )
    return processes


def clock_readings(reports: Iterable[ProcessReport]) -> list[ClockReading]:
    """What each clock said, against when the store heard it: one that seems late may be that of a late report."""
    return [
        ClockReading(
            process=f"{report.identity.kind} {report.identity.name} on {report.identity.hostname}",
            ahead=report.clock_skew,
            uncertainty=REPORT_DELAY_MAX if report.clock_skew < timedelta(0) else timedelta(0),
        )
        for report in reports
    ]


def pools(reports: Sequence[ProcessReport], *, overflow: int) -> list[Pools]:
    """What each may ask the database for, and the connection beside its pools on which a worker listens."""
    found = []
    for report in reports:
        sizes = [
            value for series, value in report.gauges.items() if series.name == Gauge.DATABASE_CONNECTIONS_MAX
        ]
        most = int(sum(sizes)) + (report.identity.kind in _LISTENING)
        if sizes:
            found.append(Pools(steady=max(0, most - overflow), most=most))
    return found


def _gauge(report: ProcessReport, gauge: Gauge) -> float | None:
    return next((value for series, value in report.gauges.items() if series.name == gauge), None)
