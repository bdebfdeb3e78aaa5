"""What can be done to a job from outside."""

from itertools import pairwise
from typing import Any

import pytest

from schedora.domain.errors import IllegalMove
from schedora.domain.events import HISTORY_LIMIT, JobEvent
from schedora.domain.ids import DEFAULT_TENANT, TenantId, WorkerId
from schedora.domain.job import UPSTREAM_FAILED, Job, kept
from schedora.domain.job_state import ENDED, HELD, MOVES, REQUEUABLE, WAITING, JobState
from tests.builders import HOUR, NOON, SECOND, TRACE, a_job, a_job_id, a_request

S = JobState
RESTING = [state for state in JobState if state is not S.FAILED]
LATER = NOON + HOUR


def test_submitted_job_is_due_when_asked_for_or_now() -> None:
    def submitted(**fields: Any) -> Job:
        return Job.submitted(a_request(**fields), job_id=a_job_id(), trace=TRACE, now=NOON, waits_for=2)

    job = submitted()
    assert (job.status, job.scheduled_at, job.created_at, job.waits_for) == (S.PENDING, NOON, NOON, 2)
    assert (job.attempt, job.retry_count, job.lease_token, job.lease) == (0, 0, 0, None)
    assert submitted(scheduled_at=LATER).scheduled_at == LATER
    assert submitted(scheduled_at=NOON - HOUR).scheduled_at == NOON - HOUR


@pytest.mark.parametrize("state", RESTING)
def test_claimable_is_what_waits_for_a_worker_alone(state: JobState) -> None:
    assert a_job(state).claimable is (state in WAITING)
    assert not a_job(state, waits_for=1).claimable
    assert a_job(state).ended is (state in ENDED)


@pytest.mark.parametrize("state", RESTING)
def test_cancel(state: JobState) -> None:
    job = a_job(state)
    if state in ENDED:
        with pytest.raises(IllegalMove):
            job.canceled(now=LATER, reason="unwanted")
        return
    canceled = job.canceled(now=LATER, reason="unwanted")
    assert (canceled.status, canceled.lease, canceled.completed_at) == (S.CANCELED, None, LATER)
    assert (canceled.attempt, canceled.lease_token) == (job.attempt, job.lease_token)
    last = JobEvent(
        at=LATER,
        from_state=state,
        to_state=S.CANCELED,
        attempt=job.attempt,
        worker_id=WorkerId("w1") if state in HELD else None,
        reason="unwanted",
    )
    assert canceled.events() == (*job.events(), last)


def test_reason_of_a_failed_dependency_is_told_as_the_error() -> None:
    assert a_job().canceled(now=LATER, reason=UPSTREAM_FAILED).error_message == UPSTREAM_FAILED
    assert a_job().canceled(now=LATER, reason="unwanted").error_message is None
    assert a_job(S.RETRYING).canceled(now=LATER, reason="unwanted").error_message == "it failed"


@pytest.mark.parametrize("state", RESTING)
def test_requeue(state: JobState) -> None:
    job = a_job(state, retry_count=3, worker_deaths=2, suspect=True)
    if state not in REQUEUABLE:
        with pytest.raises(IllegalMove, match=f"from {state} to PENDING"):
            job.requeued(now=LATER, reason="again")
        return
    requeued = job.requeued(now=LATER, reason="again", waits_for=1)
    assert (requeued.status, requeued.scheduled_at, requeued.waits_for) == (S.PENDING, LATER, 1)
    assert (requeued.retry_count, requeued.worker_deaths, requeued.suspect) == (0, 0, False)
    assert (requeued.worker_id, requeued.claimed_at, requeued.started_at) == (None, None, None)
    assert (requeued.completed_at, requeued.error_message) == (None, None)
    assert (requeued.errors, requeued.attempt) == (job.errors, job.attempt)
    assert requeued.lease_token == job.lease_token
    last = JobEvent(at=LATER, from_state=state, to_state=S.PENDING, attempt=job.attempt, reason="again")
    assert requeued.events() == (*job.events(), last)


@pytest.mark.parametrize("state", RESTING)
def test_events_are_one_legal_walk_to_the_present(state: JobState) -> None:
    events = a_job(state).events()
    assert events[0] == JobEvent(at=NOON, from_state=None, to_state=S.PENDING, attempt=0)
    assert all(before.to_state is after.from_state for before, after in pairwise(events))
    assert all((event.from_state, event.to_state) in MOVES for event in events[1:])
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert events[-1].to_state is state


def test_events_of_the_present_claim_are_told_by_the_columns() -> None:
    assert [event.to_state for event in a_job(S.SUCCESS).current_moves()] == [
        S.SCHEDULED,
        S.RUNNING,
        S.SUCCESS,
    ]
    assert [event.to_state for event in a_job(S.RUNNING).current_moves()] == [S.SCHEDULED, S.RUNNING]
    assert [event.to_state for event in a_job(S.SCHEDULED).current_moves()] == [S.SCHEDULED]
    for state in set(RESTING) - HELD - {S.SUCCESS}:
        assert a_job(state).current_moves() == ()


@pytest.mark.parametrize("state", [S.SCHEDULED, S.RUNNING, S.SUCCESS])
def test_moves_of_one_claim_carry_the_number_of_the_attempt(state: JobState) -> None:
    moves = a_job(state).current_moves()
    assert {move.attempt for move in moves} == {1}
    assert {move.worker_id for move in moves} == {"w1"}


def test_claim_after_a_retry_starts_from_retrying() -> None:
    retrying = a_job(S.RETRYING)
    running = a_job(S.RUNNING, history=retrying.history, attempt=2)
    assert running.current_moves()[0].from_state is S.RETRYING
    assert running.current_moves()[0].attempt == 2


@pytest.mark.parametrize("state", [S.SCHEDULED, S.RUNNING, S.SUCCESS])
def test_held_job_without_a_claim_is_a_contradiction(state: JobState) -> None:
    with pytest.raises(ValueError, match="was never claimed"):
        a_job(state, claimed_at=None).current_moves()


@pytest.mark.parametrize("more", [0, 1, HISTORY_LIMIT, HISTORY_LIMIT + 1])
def test_history_is_kept_within_its_limit(more: int) -> None:
    old = tuple(
        JobEvent(at=NOON + i * SECOND, from_state=S.RUNNING, to_state=S.PENDING, attempt=0)
        for i in range(HISTORY_LIMIT)
    )
    new = tuple(JobEvent(at=LATER, from_state=S.PENDING, to_state=S.CANCELED, attempt=0) for _ in range(more))
    history = kept(old, new)
    assert len(history) == HISTORY_LIMIT
    assert history == (*old, *new)[-HISTORY_LIMIT:]


def test_requeued_it_waits_for_nobody_unless_it_is_said() -> None:
    assert a_job(S.DEAD).requeued(now=LATER, reason="again").waits_for == 0


def test_submitted_it_is_of_its_tenant() -> None:
    other = Job.submitted(a_request(), job_id=a_job_id(), trace=TRACE, now=NOON, tenant_id=TenantId(7))
    mine = Job.submitted(a_request(), job_id=a_job_id(), trace=TRACE, now=NOON)
    assert (other.tenant_id, mine.tenant_id) == (7, DEFAULT_TENANT)
