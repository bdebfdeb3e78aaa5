"""Every situation that a job can be in, and the way there through the ports."""

from datetime import timedelta
from enum import StrEnum, auto

from attrs import frozen

from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import JobId
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, Succeeded
from schedora.domain.retry import RetryPolicy
from schedora.domain.worker import Worker
from tests.builders import HOUR, a_claimed_job, a_request
from tests.contract.stores import Stores

AT_ONCE = RetryPolicy(base=timedelta(0))
"""A retry falls due at the moment of the failure."""
LATER = Failed(kind="Oops", message="it failed", retry_after=HOUR)


class Situation(StrEnum):
    READY = auto()
    DELAYED = auto()
    WAITING = auto()
    SCHEDULED = auto()
    RUNNING = auto()
    RETRYING = auto()
    RETRYING_LATER = auto()
    SUCCESS = auto()
    DEAD = auto()
    CANCELED = auto()


STATE_OF = {
    Situation.READY: JobState.PENDING,
    Situation.DELAYED: JobState.PENDING,
    Situation.WAITING: JobState.PENDING,
    Situation.RETRYING_LATER: JobState.RETRYING,
} | {Situation[state]: state for state in JobState if state not in {JobState.PENDING, JobState.FAILED}}


@frozen(kw_only=True)
class Case:
    """A job in its situation. ``claim`` is the newest one, live or not; made up where there never was one."""

    job: Job
    claim: ClaimedJob
    worker: Worker
    upstream: JobId | None = None


async def bring_about(stores: Stores, situation: Situation) -> Case:
    worker = await stores.worker()
    upstream = None
    request = a_request(retry=AT_ONCE)
    if situation is Situation.WAITING:
        workflow_id = await stores.workflow()
        upstream = await stores.submit_one(a_request(type="upstream", workflow_id=workflow_id))
        request = a_request(retry=AT_ONCE, workflow_id=workflow_id, depends_on=(upstream.job_id,))
    if situation is Situation.DELAYED:
        request = a_request(retry=AT_ONCE, scheduled_at=await stores.now() + HOUR)
    job = await stores.submit_one(request, waits_for=0 if upstream is None else 1)
    claim = a_claimed_job(job_id=job.job_id, owner=worker.incarnation)
    if situation not in {Situation.READY, Situation.DELAYED, Situation.WAITING}:
        starts = 0 if situation is Situation.SCHEDULED else 1
        [claim] = await stores.claim(worker, start_count=starts)
    match situation:
        case Situation.RETRYING:
            assert await stores.complete(claim, Failed(kind="Oops", message="it failed"))
        case Situation.RETRYING_LATER:
            assert await stores.complete(claim, LATER)
        case Situation.SUCCESS:
            assert await stores.complete(claim, Succeeded())
        case Situation.DEAD:
            assert await stores.complete(claim, Failed(kind="Oops", message="hopeless", retryable=False))
        case Situation.CANCELED:
            await stores.cancel(job.job_id)
    job = await stores.job(job.job_id)
    assert job.status is STATE_OF[situation]
    return Case(job=job, claim=claim, worker=worker, upstream=upstream.job_id if upstream else None)
