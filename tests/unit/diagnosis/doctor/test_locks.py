"""What the check of locks says."""

import attrs
import pytest

from schedora.diagnosis.doctor.finding import Observation
from schedora.diagnosis.doctor.locks import LockWait, LockWaits
from schedora.diagnosis.doctor.sessions import ServerSession
from tests.unit.diagnosis.doctor.told import (
    CRITICAL,
    FINE,
    PSQL,
    SECOND,
    WARNING,
    Cases,
    Told,
    told_of,
)

CASES: Cases = [
    (
        LockWaits(
            waits=[
                LockWait(
                    session=PSQL,
                    waiting=2 * SECOND + FINE,
                    on="jobs",
                    blockers=[attrs.evolve(PSQL, pid=8), attrs.evolve(PSQL, pid=9)],
                    prepared="it's",
                )
            ]
        ),
        [
            (
                "lock_wait",
                WARNING,
                "session 7 of Schedora has waited for 2.1 s for a lock on jobs, behind session 8 (psql, user ada, active), and 1 other: select ?",
                {
                    "waiting_pid": 7,
                    "waiting_query": "select ?",
                    "waiting_seconds": 2.124,
                    "on": "jobs",
                    "blocker": 8,
                    "blocker_application_name": "psql",
                    "blocker_user": "ada",
                    "blocker_database": None,
                    "blocker_client": None,
                    "blocker_state": "active",
                    "blocker_since": None,
                    "blocker_seconds": None,
                    "blocker_query": "select ?",
                },
            ),
            (
                "lock_prepared",
                WARNING,
                'session 7 of Schedora has waited for 2.1 s for a lock on jobs, behind transaction "it\'s", which was prepared and never ended',
                {
                    "waiting_pid": 7,
                    "waiting_query": "select ?",
                    "waiting_seconds": 2.124,
                    "on": "jobs",
                    "gid": "it's",
                },
            ),
        ],
    ),
    (
        LockWaits(
            waits=[LockWait(session=PSQL, waiting=30 * SECOND, on="jobs", blockers=[ServerSession(pid=8)])]
        ),
        [
            (
                "lock_wait",
                CRITICAL,
                "session 7 of Schedora has waited for 30 s for a lock on jobs, behind session 8",
                {
                    "waiting_pid": 7,
                    "waiting_query": "select ?",
                    "waiting_seconds": 30.0,
                    "on": "jobs",
                    "blocker": 8,
                    "blocker_application_name": "",
                    "blocker_user": None,
                    "blocker_database": None,
                    "blocker_client": None,
                    "blocker_state": None,
                    "blocker_since": None,
                    "blocker_seconds": None,
                    "blocker_query": None,
                },
            )
        ],
    ),
]


@pytest.mark.parametrize(("facts", "told"), CASES)
def test_what_is_told(facts: Observation, told: Told) -> None:
    assert told_of(facts) == told
