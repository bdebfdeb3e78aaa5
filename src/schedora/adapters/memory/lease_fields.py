"""A claim's begin and what its holder sees: the moves that a database makes by itself."""

from datetime import datetime

import attrs

from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import IncarnationId, LeaseId, LeaseToken, WorkerId
from schedora.domain.job import Job
from schedora.domain.job_state import JobState, check_move
from schedora.domain.lease import Lease


def claimed(job: Job, *, lease_id: LeaseId, owner: IncarnationId, worker_id: WorkerId, now: datetime) -> Job:
    """SCHEDULED under a new lease. Raises ``IllegalMove`` unless it waits."""
    check_move(job.status, JobState.SCHEDULED)
    token = LeaseToken(job.lease_token + 1)
    return attrs.evolve(
        job,
        status=JobState.SCHEDULED,
        lease=Lease(lease_id=lease_id, token=token, owner=owner, worker_id=worker_id, claimed_at=now),
        lease_token=token,
        worker_id=worker_id,
        claimed_at=now,
    )


def started(job: Job, at: datetime) -> Job:
    """RUNNING, its attempt counted. Raises ``IllegalMove`` unless it is SCHEDULED."""
    check_move(job.status, JobState.RUNNING)
    lease = _lease_of(job)
    return attrs.evolve(
        job,
        status=JobState.RUNNING,
        lease=attrs.evolve(lease, started_at=at),
        attempt=job.attempt + 1,
        started_at=at,
    )


def as_held(job: Job) -> ClaimedJob:
    """What the holder of a job knows. Raises ``ValueError`` for a job that nobody holds."""
    lease = _lease_of(job)
    request = job.request
    return ClaimedJob(
        job_id=job.job_id,
        lease_id=lease.lease_id,
        lease_token=lease.token,
        owner=lease.owner,
        worker_id=lease.worker_id,
        type=request.type,
        queue=request.queue,
        priority=request.priority,
        payload=request.payload,
        waited_as=job.history[-1].to_state if job.history else JobState.PENDING,
        attempt=job.attempt - (1 if job.status is JobState.RUNNING else 0),
        retry_count=job.retry_count,
        worker_deaths=job.worker_deaths,
        retry=request.retry,
        timeout=request.timeout,
        workflow_id=request.workflow_id,
        key=request.key,
        depends_on=request.depends_on,
        traceparent=job.trace.traceparent,
        created_at=job.created_at,
        scheduled_at=job.scheduled_at,
        claimed_at=lease.claimed_at,
        started_at=lease.started_at,
        suspect=job.suspect,
    )


def _lease_of(job: Job) -> Lease:
    if job.lease is None:
        raise ValueError(f"job {job.job_id} is not held")
    return job.lease
