"""What the check of work says."""

from typing import Any

import attrs
import pytest

from schedora.diagnosis.doctor.finding import Observation
from schedora.diagnosis.doctor.work import Crew, Died, Waiting, Work
from schedora.domain.worker import WorkerState
from tests.unit.diagnosis.doctor.told import (
    CRITICAL,
    FINE,
    HOUR,
    MINUTE,
    SECOND,
    WARNING,
    Cases,
    Told,
    told_of,
)

WORKER = Crew(
    worker="w",
    host="h",
    version="1",
    status=WorkerState.ACTIVE,
    queues=(),
    types=frozenset({"t"}),
    silent_for=SECOND,
)


def work(**change: Any) -> Work:
    return attrs.evolve(Work(version="1", heartbeat_timeout=90 * SECOND, crew=[WORKER]), **change)


CASES: Cases = [
    (
        work(crew=[], waiting=[Waiting(queue="q", type="t", oldest=SECOND)]),
        [("workers_none", CRITICAL, "jobs wait, and there is no live worker", {})],
    ),
    (
        work(
            crew=[
                attrs.evolve(WORKER, status=WorkerState.STALE),
                WORKER,
                attrs.evolve(WORKER, worker="v", status=WorkerState.STALE, silent_for=HOUR + FINE),
            ]
        ),
        [
            (
                "worker_stale",
                WARNING,
                "worker v on h was declared lost; it was heard 60 min ago",
                {"worker": "v", "host": "h", "silent_seconds": 3600.124},
            )
        ],
    ),
    (
        work(crew=[attrs.evolve(WORKER, silent_for=HOUR + FINE)]),
        [
            (
                "worker_silent",
                WARNING,
                "worker w on h has not been heard for 60 min",
                {"worker": "w", "host": "h", "silent_seconds": 3600.124},
            ),
            (
                "reaper_missing",
                CRITICAL,
                "a worker has been silent for 60 min and nobody has declared it lost",
                {"silent_seconds": 3600.124},
            ),
        ],
    ),
    (
        work(crew=[attrs.evolve(WORKER, version="2")]),
        [
            (
                "version_differs",
                WARNING,
                "worker w on h is of version 2, this is 1",
                {"process": "worker w", "host": "h", "version": "2", "wanted": "1"},
            )
        ],
    ),
    (
        work(waiting=[Waiting(queue="q", type="u", oldest=HOUR + FINE)]),
        [
            (
                "type_unhandled",
                WARNING,
                "jobs of type u wait in queue q, the oldest for 60 min",
                {"queue": "q", "type": "u", "oldest_seconds": 3600.124},
            )
        ],
    ),
    (
        work(
            crew=[attrs.evolve(WORKER, queues=("p",))],
            waiting=[Waiting(queue="q", type="t", oldest=HOUR + FINE)],
        ),
        [
            (
                "queue_unserved",
                WARNING,
                "jobs of type t wait in queue q, the oldest for 60 min, and no worker serves both",
                {"queue": "q", "type": "t", "oldest_seconds": 3600.124},
            )
        ],
    ),
    (
        work(
            crew=[attrs.evolve(WORKER, status=WorkerState.DRAINING)],
            waiting=[Waiting(queue="q", type="t", oldest=HOUR + FINE)],
        ),
        [
            (
                "workers_draining",
                WARNING,
                "jobs of type t wait in queue q, the oldest for 60 min, and whoever could run them drains: w",
                {"queue": "q", "type": "t", "oldest_seconds": 3600.124, "workers": 1},
            )
        ],
    ),
    (
        work(
            paused=frozenset("p"),
            waiting=[
                Waiting(queue="p", type="t", oldest=SECOND),
                Waiting(queue="p", type="u", oldest=HOUR + FINE),
                Waiting(queue="q", type="t", oldest=MINUTE),
                Waiting(queue="q", type="t", oldest=2 * HOUR + FINE),
            ],
        ),
        [
            (
                "queue_paused",
                WARNING,
                "queue p is paused, and jobs wait in it, the oldest for 60 min",
                {"queue": "p", "oldest_seconds": 3600.124},
            ),
            (
                "queue_late",
                CRITICAL,
                "a job in queue q has been ready for 2 h",
                {"queue": "q", "oldest_seconds": 7200.124},
            ),
        ],
    ),
    (
        work(died=[Died(queue="q", jobs=12)]),
        [
            (
                "dlq_growing",
                WARNING,
                "12 jobs of queue q became DEAD within 60 min",
                {"queue": "q", "jobs": 12},
            )
        ],
    ),
]


@pytest.mark.parametrize(("facts", "told"), CASES)
def test_what_is_told(facts: Observation, told: Told) -> None:
    assert told_of(facts) == told
