"""What is told of a job: enough for a whole life, and never without end."""

import attrs
import pytest

from schedora.domain.completion import completed
from schedora.domain.events import ERRORS_LIMIT, HISTORY_LIMIT, AttemptError, JobEvent
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed
from schedora.domain.retry import RETRIES_LIMIT, RetryPolicy
from tests.builders import NOON, a_job, a_lease, a_request, as_claimed, settled


def test_fact_once_told_does_not_change() -> None:
    event = JobEvent(at=NOON, from_state=None, to_state=JobState.PENDING, attempt=0)
    error = AttemptError(attempt=1, at=NOON, worker_id=None, kind="Oops", message="it failed")
    assert (event.worker_id, event.reason, error.traceback) == (None, None, None)
    for fact in (event, error):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            fact.attempt = 7  # type: ignore[misc]  # that is what is tried


def test_nothing_is_forgotten_of_a_job_that_uses_up_the_largest_retry_budget() -> None:
    job = a_job(request=a_request(retry=RetryPolicy(max_retries=RETRIES_LIMIT)))
    runs = 0
    while not job.ended:
        runs += 1
        lease = a_lease(started_at=NOON)
        job = attrs.evolve(job, status=JobState.RUNNING, lease=lease, claimed_at=NOON, started_at=NOON)
        claimed = attrs.evolve(
            as_claimed(job),
            attempt=job.attempt,
            retry_count=job.retry_count,
            waited_as=job.history[-1].to_state if job.history else JobState.PENDING,
        )
        job = completed(job, settled(claimed, Failed(kind="Oops", message=f"failure {runs}")))
    assert (runs, job.attempt, job.retry_count) == (RETRIES_LIMIT + 1, RETRIES_LIMIT + 1, RETRIES_LIMIT)
    assert job.status is JobState.DEAD
    assert [error.attempt for error in job.errors] == list(range(1, RETRIES_LIMIT + 2))
    assert len(job.errors) < ERRORS_LIMIT
    # Claimed, started, failed, then retrying or dead: four moves a run.
    assert len(job.history) == 4 * runs < HISTORY_LIMIT
