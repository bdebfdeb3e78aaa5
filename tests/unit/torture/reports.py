"""What a torture came to, as tests need it."""

from collections import Counter
from typing import Any

from schedora.domain.job_state import JobState
from schedora_torture.checker import Breach
from schedora_torture.faults import Fault, FaultKind
from schedora_torture.log_files import LogFindings, TracebackFound
from schedora_torture.measures import Recovery, Second
from schedora_torture.report import Report
from schedora_torture.strikes import Strike
from tests.builders import NOON
from tests.unit.torture.plans import a_plan

BREACH = Breach(
    promise="one_success",
    subject="job 1 (torture.<b>)",
    detail="it succeeded 2 times",
    history=tuple(f"move {number}" for number in range(30)),
)


def a_recovery(kind: FaultKind, began: float, ended: float, **fields: Any) -> Recovery:
    fault = Fault(at_seconds=began, kind=kind, hold_seconds=ended - began)
    strike = Strike(fault=fault, began_seconds=began, ended_seconds=ended, victim=fields.pop("victim", ""))
    return Recovery(strike=strike, **{"first_done_seconds": 0.5, **fields})


def a_second(at: int, *waits_ms: float) -> Second:
    return Second(at=at, ended=at, waits_ms=waits_ms)


def a_report(**fields: Any) -> Report:
    given = {
        "plan": a_plan(),
        "database": "a PostgreSQL of its own",
        "began": NOON,
        "lasted_seconds": 61.0,
        "drain_seconds": 2.5,
        "interrupted": False,
        "jobs": 1200,
        "workflows": 40,
        "calls": 1500,
        "failed_calls": 20,
        "by_status": Counter({JobState.SUCCESS: 1180, JobState.DEAD: 20}),
        "claims": 1300,
        "effects": 1190,
        "fenced": 3,
        "starts": 9,
        "faults": 3,
        "left_out": [FaultKind.KILL_REDIS],
        "breaches": [],
        "seconds": [a_second(0, *[5.0] * 50), *(a_second(at, 10.0, 40.0) for at in range(1, 5))]
        + [a_second(5)]
        + [a_second(at, 900.0) for at in range(6, 20)],
        "recoveries": [
            a_recovery(FaultKind.KILL_WORKER, 6, 8, victim="worker-1.1", elsewhere_seconds=(3.0, 4.0)),
            a_recovery(FaultKind.CRASH_POSTGRES, 12, 17, first_done_seconds=1.5),
        ],
        "logs": LogFindings(
            lines=100,
            by_level=Counter({"info": 99, "error": 1}),
            messages=Counter({"job failed for good": 1}),
            tracebacks=(TracebackFound(said="service failed: KeyError", times=2, first_in="api-1.1.log"),),
        ),
        **fields,
    }
    return Report(**given)
