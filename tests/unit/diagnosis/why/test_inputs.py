"""Whether a claim would take a job, by what is known of it."""

from typing import Any

import pytest

from schedora.diagnosis.why.inputs import CandidateWorker, ExplainInputs
from schedora.domain.ids import WorkerId
from schedora.domain.job_state import WAITING, JobState
from schedora.domain.worker import WorkerState
from tests.builders import HOUR, NOON, a_job_id


def a_worker(**fields: Any) -> CandidateWorker:
    return CandidateWorker(
        **{
            "worker_id": WorkerId("w1"), "status": WorkerState.ACTIVE, "last_heartbeat": NOON, "knows_type": True,
            "serves_queue": True, "slots": 10, **fields,
        }
    )  # fmt: skip


def some_inputs(**fields: Any) -> ExplainInputs:
    """Of a job that is ready, unless ``fields`` say otherwise."""
    return ExplainInputs(
        **{
            "at": NOON, "job_id": a_job_id(), "type": "work", "queue": "mail", "priority": 5, "timeout": HOUR,
            "status": JobState.PENDING, "created_at": NOON, "scheduled_at": NOON, "workers": (a_worker(),), **fields,
        }
    )  # fmt: skip


def test_a_job_that_nothing_is_in_the_way_of_is_ready() -> None:
    assert some_inputs().ready


@pytest.mark.parametrize(
    "fields",
    [
        {"waits_for": 1},
        {"scheduled_at": NOON + HOUR},
        {"paused_at": NOON},
        {"workers": ()},
        {"workers": (a_worker(status=WorkerState.DRAINING),)},
        {"workers": (a_worker(knows_type=False), a_worker(serves_queue=False))},
    ],
)
def test_one_thing_in_the_way_is_enough(fields: dict[str, Any]) -> None:
    assert not some_inputs(**fields).ready


@pytest.mark.parametrize("status", JobState)
def test_only_a_job_that_waits_is_ready(status: JobState) -> None:
    assert some_inputs(status=status).ready == (status in WAITING)


def test_slots_have_no_part_in_it() -> None:
    full = a_worker(slots=2, held_jobs=3)
    assert full.free_slots == 0
    assert some_inputs(workers=(full,)).ready


def test_takers_are_those_that_would_take_it() -> None:
    inputs = some_inputs(workers=(a_worker(knows_type=False), a_worker(worker_id=WorkerId("w2"))))
    assert [worker.worker_id for worker in inputs.takers] == ["w2"]
