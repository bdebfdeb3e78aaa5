"""The end of a claim: what a run's outcome makes of its job.

``settle`` is the one place where an outcome becomes a state. A ``Completion`` says the result in absolute
terms: nothing about a job but its start can change while its lease lives, so what the holder saw at the claim is
still true when the store accepts the completion, and if it is not true the store refuses: the lease is gone, or a
start is on record of which the completion does not know.
"""

from datetime import datetime, timedelta
from typing import assert_never

import attrs

from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.events import ERRORS_LIMIT, AttemptError, JobEvent
from schedora.domain.ids import JobId, JsonText, LeaseId, LeaseToken, WorkflowId
from schedora.domain.job import Job, kept
from schedora.domain.job_request import LATEST
from schedora.domain.job_state import ENDED, JobState, check_move
from schedora.domain.lease import Lease
from schedora.domain.outcome import Failed, Outcome, Released, Snoozed, Succeeded, TimedOut, WorkerLost
from schedora.domain.values import frozen

POISON = "poison"
WORKER_LOST = "worker_lost"
TIMEOUT = "timeout"


@frozen
class Completion:
    """One claim's end, addressed to the lease that it ends.

    ``scheduled_at`` is None where the job keeps its place in time. ``moves`` are the moves to add to the
    record's history: none for a plain success, which the record's columns tell.
    """

    job_id: JobId
    lease_id: LeaseId
    lease_token: LeaseToken
    workflow_id: WorkflowId | None
    type: str
    queue: str
    status: JobState
    attempt: int
    retry_count: int
    worker_deaths: int
    started_at: datetime | None
    ended_at: datetime
    suspect: bool = False
    scheduled_at: datetime | None = None
    result: JsonText | None = None
    error: AttemptError | None = None
    moves: tuple[JobEvent, ...] = ()

    @property
    def ends_job(self) -> bool:
        return self.status in ENDED

    def ends(self, lease: Lease | None) -> bool:
        """Whether the store may take it for a job that is held under ``lease``: the very claim that it ends. And if it
        says that the attempt had not started, that must be so still: its holder may have reported the start since.
        """
        if lease is None or lease.lease_id != self.lease_id:
            return False
        return self.started_at is not None or lease.started_at is None


def settle(
    job: ClaimedJob,
    outcome: Outcome,
    *,
    started_at: datetime | None,
    ended_at: datetime,
    unit_random: float,
    worker_deaths_max: int,
) -> Completion:
    """What ``outcome`` makes of ``job``.

    ``started_at`` is None when the attempt did not start; then only a hand-back or the loss of the worker
    are possible, and anything else raises ``IllegalMove``. ``unit_random`` in [0, 1) places the jitter.
    """
    if isinstance(outcome, Succeeded):
        return _success(job, outcome.result, started_at, ended_at)
    end = _End(job, started_at, ended_at)
    match outcome:
        case Snoozed(delay=delay, reason=reason):
            return end.wait(reason or "snoozed", scheduled_at=_no_later_than_limit(ended_at, delay))
        case Released(reason=reason):
            return end.wait(reason)
        case WorkerLost(message=message, evidence=evidence):
            if started_at is None:
                return attrs.evolve(end.wait(WORKER_LOST), suspect=True)
            deaths = job.worker_deaths + 1
            poison = deaths >= worker_deaths_max
            if poison:
                message = f"{message}; {deaths} workers died while running it"
            error = end.error(POISON if poison else WORKER_LOST, message, evidence)
            retry_at = None if poison else _retry_at(job, ended_at, unit_random)
            return attrs.evolve(
                end.failure(error, retry_at), worker_deaths=deaths, suspect=retry_at is not None
            )
        case TimedOut(timeout=timeout):
            message = f"timed out after {timeout.total_seconds():g} s"
            return end.failure(end.error(TIMEOUT, message), _retry_at(job, ended_at, unit_random))
        case Failed():
            error = end.error(outcome.kind, outcome.message, outcome.traceback)
            if not outcome.retryable:
                return end.failure(error, None)
            return end.failure(error, _retry_at(job, ended_at, unit_random, outcome.retry_after))
        case _:
            assert_never(outcome)


def completed(job: Job, completion: Completion) -> Job:
    """``job`` after its ``completion``. The caller has checked that this ``ends`` the job's lease."""
    if job.lease is None or job.lease.lease_id != completion.lease_id:
        raise ValueError(f"job {job.job_id} is not held under lease {completion.lease_id}")
    errors = (*job.errors, completion.error) if completion.error else job.errors
    ends = completion.ends_job
    return attrs.evolve(
        job,
        status=completion.status,
        lease=None,
        lease_token=completion.lease_token,
        worker_id=job.lease.worker_id if ends else None,
        attempt=completion.attempt,
        retry_count=completion.retry_count,
        worker_deaths=completion.worker_deaths,
        suspect=completion.suspect,
        scheduled_at=completion.scheduled_at or job.scheduled_at,
        claimed_at=job.lease.claimed_at if ends else None,
        started_at=completion.started_at if ends else None,
        completed_at=completion.ended_at if ends else None,
        error_message=completion.error.message if completion.error else None,
        errors=errors[-ERRORS_LIMIT:],
        history=kept(job.history, completion.moves),
        result=completion.result,
    )


def _success(
    job: ClaimedJob, result: JsonText | None, started_at: datetime | None, ended_at: datetime
) -> Completion:
    """Most ends are one: no moves are collected of which the record's columns tell."""
    check_move(job.waited_as, JobState.SCHEDULED)
    check_move(JobState.SCHEDULED if started_at is None else JobState.RUNNING, JobState.SUCCESS)
    return Completion(  # by place: names take three times as long
        job.job_id, job.lease_id, job.lease_token, job.workflow_id, job.type, job.queue, JobState.SUCCESS,
        job.attempt + 1, job.retry_count, job.worker_deaths, started_at, ended_at, result=result,
    )  # fmt: skip


def _retry_at(
    job: ClaimedJob, ended_at: datetime, unit_random: float, retry_after: timedelta | None = None
) -> datetime | None:
    """When to try again; None when no retries are left."""
    if not job.retry.retries_left(job.retry_count):
        return None
    if retry_after is None:
        return ended_at + job.retry.delay(job.retry_count, unit_random)
    return _no_later_than_limit(ended_at, retry_after)


def _no_later_than_limit(start: datetime, delay: timedelta) -> datetime:
    return start + min(max(delay, timedelta(0)), LATEST - timedelta(microseconds=1) - start)


class _End:
    """One claim coming to an end that is no success: collects the moves and builds the completion."""

    def __init__(self, job: ClaimedJob, started_at: datetime | None, ended_at: datetime) -> None:
        self._job = job
        self._started_at = started_at
        self._ended_at = ended_at
        self._moves: list[JobEvent] = []
        self._state = job.waited_as
        self._go(JobState.SCHEDULED, job.claimed_at)
        if started_at is not None:
            self._go(JobState.RUNNING, started_at)

    def wait(self, reason: str, scheduled_at: datetime | None = None) -> Completion:
        self._go(JobState.PENDING, self._ended_at, reason, due=scheduled_at)
        return attrs.evolve(self._completion(attempts_used=0), scheduled_at=scheduled_at)

    def failure(self, error: AttemptError, retry_at: datetime | None) -> Completion:
        self._go(JobState.FAILED, self._ended_at, error.kind)
        after = JobState.DEAD if retry_at is None else JobState.RETRYING
        self._go(after, self._ended_at, error.kind, due=retry_at)
        completion = attrs.evolve(self._completion(attempts_used=1), error=error, scheduled_at=retry_at)
        if retry_at is None:
            return completion
        return attrs.evolve(completion, retry_count=completion.retry_count + 1)

    def error(self, kind: str, message: str, traceback: str | None = None) -> AttemptError:
        return AttemptError(
            attempt=self._job.current_attempt,
            at=self._ended_at,
            worker_id=self._job.worker_id,
            kind=kind,
            message=message,
            traceback=traceback,
        )

    def _go(
        self, to_state: JobState, at: datetime, reason: str | None = None, *, due: datetime | None = None
    ) -> None:
        check_move(self._state, to_state)
        self._moves.append(
            JobEvent(
                at=at,
                from_state=self._state,
                to_state=to_state,
                attempt=self._job.current_attempt,
                worker_id=self._job.worker_id,
                reason=reason,
                due=due,
            )
        )
        self._state = to_state

    def _completion(self, *, attempts_used: int) -> Completion:
        job = self._job
        return Completion(
            job_id=job.job_id,
            lease_id=job.lease_id,
            lease_token=job.lease_token,
            workflow_id=job.workflow_id,
            type=job.type,
            queue=job.queue,
            status=self._state,
            attempt=job.attempt + attempts_used,
            retry_count=job.retry_count,
            worker_deaths=job.worker_deaths,
            suspect=self._state not in ENDED and self._stays_suspect(),
            started_at=self._started_at,
            ended_at=self._ended_at,
            moves=tuple(self._moves),
        )

    def _stays_suspect(self) -> bool:
        """An attempt that has not killed its worker acquits, of a death that may have come before a start."""
        return self._job.worker_deaths > 0 or (self._job.suspect and self._started_at is None)
