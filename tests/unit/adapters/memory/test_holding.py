"""A claim's begin and what its holder sees."""

import pytest

from schedora.adapters.memory.lease_fields import as_held, claimed, started
from schedora.domain.errors import IllegalMove
from schedora.domain.ids import LeaseToken, WorkerId
from schedora.domain.job import Job
from schedora.domain.job_state import HELD, WAITING, JobState
from tests.builders import HOUR, NOON, a_job, a_lease_id, an_incarnation

S = JobState
LATER = NOON + HOUR
RESTING = [state for state in JobState if state is not S.FAILED]


def claim(job: Job) -> Job:
    return claimed(job, lease_id=a_lease_id(), owner=an_incarnation(), worker_id=WorkerId("w9"), now=LATER)


@pytest.mark.parametrize("state", RESTING)
def test_only_what_waits_is_claimed(state: JobState) -> None:
    job = a_job(state, lease_token=LeaseToken(4))
    if state not in WAITING:
        with pytest.raises(IllegalMove):
            claim(job)
        return
    held = claim(job)
    assert held.lease is not None
    assert (held.status, held.lease_token, held.lease.token) == (S.SCHEDULED, 5, 5)
    assert (held.worker_id, held.claimed_at, held.started_at) == ("w9", LATER, None)
    assert held.attempt == job.attempt


@pytest.mark.parametrize("state", RESTING)
def test_only_what_is_claimed_starts(state: JobState) -> None:
    job = a_job(state)
    if state is not S.SCHEDULED:
        with pytest.raises(IllegalMove):
            started(job, LATER)
        return
    running = started(job, LATER)
    assert running.lease is not None
    assert (running.status, running.attempt) == (S.RUNNING, job.attempt + 1)
    assert running.started_at == running.lease.started_at == LATER


@pytest.mark.parametrize("state", RESTING)
def test_holder_sees_what_it_holds(state: JobState) -> None:
    job = a_job(state)
    if state not in HELD:
        with pytest.raises(ValueError, match="is not held"):
            as_held(job)
        return
    held = as_held(job)
    assert job.lease is not None
    assert (held.job_id, held.lease_id, held.owner) == (job.job_id, job.lease.lease_id, job.lease.owner)
    assert (held.attempt, held.current_attempt, held.waited_as) == (0, 1, S.PENDING)
    assert held.started_at == job.started_at


def test_retry_is_held_as_what_it_waited_as() -> None:
    held = as_held(started(claim(a_job(S.RETRYING)), LATER))
    assert (held.waited_as, held.attempt, held.retry_count) == (S.RETRYING, 1, 1)


def test_running_job_without_a_lease_is_a_contradiction() -> None:
    with pytest.raises(ValueError, match="is not held"):
        started(a_job(S.SCHEDULED, lease=None), LATER)
