"""What the check of processes says."""

import pytest

from schedora.diagnosis.doctor.finding import Observation
from schedora.diagnosis.doctor.processes import Processes, RunningProcess
from schedora.domain.process import ProcessKind
from tests.unit.diagnosis.doctor.told import FINE, MINUTE, SECOND, WARNING, Cases, Told, told_of

CASES: Cases = [
    (
        Processes(
            version="1",
            processes=[
                RunningProcess(
                    name="p",
                    host="h",
                    kind=ProcessKind.API,
                    version="2",
                    running=2 * MINUTE,
                    loop_lag=5 * SECOND + FINE,
                    stuck_threads=2,
                    redis_up=False,
                )
            ],
        ),
        [
            (
                "version_differs",
                WARNING,
                "api p on h is of version 2, this is 1",
                {"process": "api p", "host": "h", "version": "2", "wanted": "1"},
            ),
            (
                "loop_blocked",
                WARNING,
                "the event loop of api p on h was kept for 5.1 s",
                {"process": "api p", "host": "h", "lag_seconds": 5.124},
            ),
            (
                "threads_stuck",
                WARNING,
                "2 threads of api p on h can't be stopped",
                {"process": "api p", "host": "h", "threads": 2},
            ),
            ("redis_lost", WARNING, "api p on h has lost Redis", {"process": "api p", "host": "h"}),
            ("reaper_missing", WARNING, "there is no reaper among 1 process that runs", {}),
        ],
    ),
    (
        Processes(
            version="1",
            processes=[
                RunningProcess(name="p", host="h", kind=ProcessKind.API, version="1", running=2 * MINUTE)
            ]
            * 2,
        ),
        [("reaper_missing", WARNING, "there is no reaper among 2 processes that run", {})],
    ),
    (
        Processes(
            version="1",
            processes=[
                RunningProcess(
                    name="p",
                    host="h",
                    kind=ProcessKind.REAPER,
                    version="2",
                    running=2 * MINUTE,
                    loop_lag=5 * SECOND,
                    stuck_threads=1,
                )
            ],
        ),
        [
            (
                "version_differs",
                WARNING,
                "reaper p on h is of version 2, this is 1",
                {"process": "reaper p", "host": "h", "version": "2", "wanted": "1"},
            ),
            (
                "loop_blocked",
                WARNING,
                "the event loop of reaper p on h was kept for 5 s",
                {"process": "reaper p", "host": "h", "lag_seconds": 5.0},
            ),
            (
                "threads_stuck",
                WARNING,
                "1 thread of reaper p on h can't be stopped",
                {"process": "reaper p", "host": "h", "threads": 1},
            ),
        ],
    ),
    # A worker's version is told of where its register is looked at.
    (
        Processes(
            version="1",
            processes=[
                RunningProcess(
                    name="p",
                    host="h",
                    kind=ProcessKind.WORKER,
                    version="2",
                    running=MINUTE,
                    loop_lag=4.9 * SECOND,
                    redis_up=True,
                )
            ],
        ),
        [],
    ),
]


@pytest.mark.parametrize(("facts", "told"), CASES)
def test_what_is_told(facts: Observation, told: Told) -> None:
    assert told_of(facts) == told
