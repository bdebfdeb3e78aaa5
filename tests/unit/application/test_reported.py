"""What is read of processes' reports."""

from datetime import timedelta
from uuid import uuid4

from schedora.application.ports.process_reports import ProcessReport
from schedora.application.ports.shared_counters import Series
from schedora.application.reported import REPORT_DELAY_MAX, clock_readings, pools, running_processes
from schedora.diagnosis.doctor.clocks import Clocks
from schedora.domain.ids import ProcessId
from schedora.domain.process import ProcessIdentity, ProcessKind
from tests.builders import NOON

SECOND = timedelta(seconds=1)


def a_report(
    kind: ProcessKind = ProcessKind.API, skew: timedelta = timedelta(0), **gauges: float
) -> ProcessReport:
    """Gauges by name, of a pool by ``NAME__POOL``."""
    series = {}
    for name, value in gauges.items():
        gauge, _, pool = name.partition("__")
        series[Series(gauge, (("pool", pool),) if pool else ())] = value
    return ProcessReport(
        identity=ProcessIdentity(
            process_id=ProcessId(uuid4()), kind=kind, name="p", hostname="h", pid=7, version="1"
        ),
        started_at=NOON - timedelta(hours=1),
        seen_at=NOON,
        clock_at=NOON + skew,
        gauges=series,
    )


def test_how_a_process_stands() -> None:
    [bare] = running_processes([a_report()])
    assert (bare.running, bare.loop_lag, bare.redis_up) == (timedelta(hours=1), None, None)
    up, down = running_processes(
        [a_report(redis_up=1, event_loop_lag_seconds=0.5, stuck_threads=2), a_report(redis_up=0)]
    )
    assert (up.redis_up, down.redis_up, up.loop_lag) == (True, False, SECOND / 2)
    assert (bare.stuck_threads, up.stuck_threads) == (0, 2)


def test_a_clock_that_seems_late_may_be_that_of_a_late_report() -> None:
    late = 2 * SECOND + REPORT_DELAY_MAX
    for skew, amiss in ((2 * SECOND, 1), (-2 * SECOND, 0), (-late + SECOND, 0), (-late, 1)):
        readings = clock_readings([a_report(skew=skew)])
        assert len(list(Clocks(readings=readings).findings())) == amiss, skew


def test_what_a_process_may_ask_the_database_for() -> None:
    api = a_report(database_connections_max__main=60)
    worker = a_report(
        ProcessKind.WORKER, database_connections_max__main=60, database_connections_max__claims=2
    )
    found = pools([api, worker, a_report()], overflow=40)
    assert [(one.steady, one.most) for one in found] == [(20, 60), (23, 63)]
