"""Completions on their way to the store."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.system.randomness import SeededRandomness
from schedora.application.pipeline import completion_buffer, outcomes
from schedora.application.pipeline.completion_buffer import BATCH_MAX, STORAGE_REFUSED, CompletionBuffer
from schedora.application.pipeline.outcomes import Outcomes
from schedora.application.pipeline.settle import Settle
from schedora.application.pipeline.store_time import StoreTime
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.ids import JsonText
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, Outcome, Succeeded, WorkerLost
from schedora.domain.retry import RetryKind, RetryPolicy
from tests.builders import NOON, SECOND, a_claimed_job, a_workflow_id, settled
from tests.unit.application.bench import DOWN


class CountedRandomness(SeededRandomness):
    """Knows how often it was asked."""

    asked = 0

    def unit(self) -> float:
        self.asked += 1
        return super().unit()


class Desk:
    def __init__(self) -> None:
        clock = VirtualClock()
        self.randomness = CountedRandomness(1, clock)
        store_time = StoreTime(clock)
        self.settle = Settle(store_time=store_time, unit_random=self.randomness.unit, worker_deaths_max=3)
        self.completion_buffer = CompletionBuffer(self.settle)
        self.outcomes = Outcomes(self.completion_buffer, asyncio.Event())

    def put(self, outcome: Outcome | None = None, *, job: ClaimedJob | None = None) -> Completion:
        job = job or a_claimed_job()
        completion = self.settle.ended(
            job,
            outcome or Succeeded(result=JsonText("1")),
            started_at=job.started_at,
            ended_at=NOON + 3 * SECOND,
        )
        self.completion_buffer.put(job, completion, timedelta(0))
        return completion


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_jobs_of_workflows_are_kept_apart(desk: Desk) -> None:
    alone = desk.put()
    together = desk.put(job=a_claimed_job(workflow_id=a_workflow_id()))
    assert desk.completion_buffer.take_standalone() == [alone]
    assert desk.completion_buffer.take_in_workflows() == [together]
    assert len(desk.completion_buffer) == 2
    assert desk.completion_buffer.leases() == {alone.lease_id, together.lease_id}


def test_completions_are_kept_until_the_store_has_answered(desk: Desk) -> None:
    completion = desk.put()
    assert desk.completion_buffer.take_standalone() == [completion]
    assert desk.completion_buffer.take_standalone() == [], "it is under way"
    assert (
        len(desk.completion_buffer),
        desk.completion_buffer.waiting,
        desk.completion_buffer.standalone,
    ) == (1, 0, 0)
    assert desk.completion_buffer.leases() == {completion.lease_id}
    desk.completion_buffer.delivered([completion], {completion.lease_id})
    assert (len(desk.completion_buffer), desk.completion_buffer.leases()) == (0, set())


def test_what_is_put_back_goes_again(desk: Desk) -> None:
    taken, lost = desk.put(), desk.put()
    other = desk.put(job=a_claimed_job(workflow_id=a_workflow_id()))
    desk.completion_buffer.delivered([desk.completion_buffer.take_standalone()[0]], {taken.lease_id})
    desk.completion_buffer.put_back([taken, lost])
    assert desk.completion_buffer.take_standalone() == [lost], "the other one has been answered"
    desk.completion_buffer.put_back(desk.completion_buffer.take_in_workflows())
    assert desk.completion_buffer.take_in_workflows() == [other]


def test_batch_is_bounded_and_in_the_order_of_job_ids(desk: Desk) -> None:
    jobs = [a_claimed_job() for _ in range(BATCH_MAX + 1)]
    for job in reversed(jobs):
        desk.put(job=job)
    batch = desk.completion_buffer.take_standalone()
    assert len(batch) == BATCH_MAX
    assert all(before.job_id < after.job_id for before, after in pairwise(batch))
    desk.completion_buffer.delivered(batch, {completion.lease_id for completion in batch})
    assert [completion.job_id for completion in desk.completion_buffer.take_standalone()] == [jobs[0].job_id]


def test_accepted_completions_are_returned_and_fenced_ones_are_dropped(desk: Desk) -> None:
    job = a_claimed_job()
    taken, late = desk.put(job=job), desk.put()
    desk.completion_buffer.take_standalone()
    with capture_logs() as logged:
        assert desk.completion_buffer.delivered([taken, late], {taken.lease_id}) == [(job, taken)]
    assert len(desk.completion_buffer) == 0
    event = "late result dropped: the lease is gone"
    assert logged == [{"event": event, "log_level": "warning", "job_id": str(late.job_id)}]


def test_answer_that_comes_twice_counts_once(desk: Desk) -> None:
    taken = desk.put()
    desk.completion_buffer.take_standalone()
    assert len(desk.completion_buffer.delivered([taken], {taken.lease_id})) == 1
    assert desk.completion_buffer.delivered([taken], {taken.lease_id}) == []


def test_the_oldest_of_those_that_wait_says_since_when(desk: Desk) -> None:
    buffer = desk.completion_buffer
    for at in (3 * SECOND, 5 * SECOND):
        job = a_claimed_job()
        buffer.put(job, settled(job, DOWN), at)
    assert buffer.since == 3 * SECOND
    buffer.take_standalone()
    job = a_claimed_job()
    buffer.put(job, settled(job, DOWN), 7 * SECOND)
    assert buffer.since == 7 * SECOND


def test_failures_are_spread_and_successes_ask_for_no_chance(desk: Desk) -> None:
    policy = RetryPolicy(kind=RetryKind.JITTER)
    failed = Failed(kind="Oops", message="odd")
    at = [desk.put(failed, job=a_claimed_job(retry=policy)).scheduled_at for _ in range(4)]
    assert len(set(at)) == 4, "those that failed together do not come back together"
    assert desk.randomness.asked == 4
    desk.put()
    assert desk.randomness.asked == 4


@pytest.mark.parametrize(("deaths", "status"), [(1, JobState.RETRYING), (2, JobState.DEAD)])
def test_one_that_loses_its_workers_too_often_is_dead(desk: Desk, deaths: int, status: JobState) -> None:
    lost = WorkerLost(message="its process ended")
    assert desk.put(lost, job=a_claimed_job(worker_deaths=deaths)).status is status


@pytest.mark.parametrize("in_workflow", [False, True])
def test_completion_that_the_store_can_not_keep_becomes_a_failure(desk: Desk, in_workflow: bool) -> None:
    completion = desk.put(job=a_claimed_job(workflow_id=a_workflow_id() if in_workflow else None))
    take = desk.completion_buffer.take_in_workflows if in_workflow else desk.completion_buffer.take_standalone
    take()
    error = RuntimeError("a secret of the store")
    with capture_logs() as logged:
        desk.completion_buffer.refused(completion, error)
    assert logged == [
        {
            "event": "the store refuses a completion",
            "log_level": "error",
            "job_id": str(completion.job_id),
            "exc_info": error,
        }
    ]
    [failure] = take()
    assert (failure.lease_id, failure.status, failure.result) == (completion.lease_id, JobState.DEAD, None)
    assert (failure.started_at, failure.ended_at) == (completion.started_at, completion.ended_at)
    assert failure.error is not None
    assert (failure.error.kind, failure.error.message) == (STORAGE_REFUSED, "RuntimeError")


def test_failure_that_is_refused_as_well_is_beyond_help(desk: Desk) -> None:
    completion = desk.put()
    desk.completion_buffer.take_standalone()
    desk.completion_buffer.refused(completion, RuntimeError("first"))
    [failure] = desk.completion_buffer.take_standalone()
    with pytest.raises(RuntimeError, match="second"):
        desk.completion_buffer.refused(failure, RuntimeError("second"))


def test_failure_of_the_handler_that_is_refused_is_replaced(desk: Desk) -> None:
    completion = desk.put(Failed(kind="Oops", message="odd"))
    desk.completion_buffer.take_standalone()
    desk.completion_buffer.refused(completion, RuntimeError("no"))
    [failure] = desk.completion_buffer.take_standalone()
    assert failure.error is not None
    assert failure.error.kind == STORAGE_REFUSED


def test_refused_stranger_is_an_error(desk: Desk) -> None:
    stranger = Desk().put()
    with pytest.raises(RuntimeError, match="no"):
        desk.completion_buffer.refused(stranger, RuntimeError("no"))


def test_large_results_go_in_several_batches(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion_buffer, "BATCH_CHARACTERS_MAX", 20)
    for size in (10, 10, 1, 50, 5):
        desk.put(Succeeded(result=JsonText("1" * size)))
    batches = []
    while batch := desk.completion_buffer.take_standalone():
        batches.append(sorted(len(completion.result or "") for completion in batch))
    assert batches == [[10, 10], [1], [50], [5]]


def test_what_is_kept_is_measured_by_its_results_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "FULL_CHARACTERS", 20)
    desk.put(DOWN)
    desk.put(Succeeded(result=JsonText("1" * 19)))
    assert not desk.outcomes.full
    desk.put(Succeeded(result=JsonText("1")))
    assert desk.outcomes.full


@pytest.mark.parametrize("refused", [True, False])
def test_each_that_is_answered_makes_as_much_room_as_it_took(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    monkeypatch.setattr(outcomes, "FULL_CHARACTERS", 20)
    for _ in range(4):
        desk.put(Succeeded(result=JsonText("1" * 10)))
    full = []
    for completion in desk.completion_buffer.take_standalone():
        if refused:
            desk.completion_buffer.refused(completion, RuntimeError("no"))
        else:
            desk.completion_buffer.delivered([completion], {completion.lease_id})
        full.append(desk.outcomes.full)
    assert full == [True, True, False, False]


def test_full_until_the_store_has_taken_enough(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "FULL_CHARACTERS", 20)
    desk.put(DOWN)
    full = [desk.outcomes.full]
    for _ in range(2):
        desk.put(Succeeded(result=JsonText("1" * 10)))
        full.append(desk.outcomes.full)
    desk.completion_buffer.put_back(desk.completion_buffer.take_standalone())
    full.append(desk.outcomes.full)
    batch = desk.completion_buffer.take_standalone()
    full.append(desk.outcomes.full)
    assert desk.completion_buffer.job_ids() == {completion.job_id for completion in batch}
    desk.completion_buffer.delivered(batch, {completion.lease_id for completion in batch[1:]})
    full.append(desk.outcomes.full)
    assert full == [False, False, True, True, True, False], (
        "what is on its way counts, what was fenced is gone"
    )
    assert not desk.completion_buffer.job_ids()
