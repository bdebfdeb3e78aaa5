"""Jobs that were leased as they were stored, as their holder is told of them.

A message is JSON on the holder's own channel. Its beginning is written by who submits the job; the statement that stores
it adds what only the store knows: the time, and the worker's name.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson

from schedora.adapters.postgres.arrays import microseconds
from schedora.application.ports.jobs import NewJob
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.errors import InvalidField
from schedora.domain.ids import IncarnationId, JobId, JsonText, LeaseId, LeaseToken, WorkerId
from schedora.domain.job_state import JobState
from schedora.domain.retry import RetryKind, RetryPolicy

_TOLD_BYTES_MAX = 6_400
"""PostgreSQL takes less than 8,000. What the statement adds needs up to 1,600 of them: a worker's name has 255 characters,
each of which takes up to six bytes in JSON.
"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def channel(owner: IncarnationId) -> str:
    """Where that owner listens, and nobody else."""
    return f"schedora_{owner.hex}"


def listener_lock_key(owner: IncarnationId) -> int:
    """The advisory lock of a session that listens on that channel."""
    return int.from_bytes(owner.bytes[8:], signed=True)


def told(new: NewJob, owner: IncarnationId, lease_id: LeaseId) -> str:
    """The beginning of a message, which lacks its end. Of a job that is too large it says only that there is one."""
    request = new.request
    job = {
        "owner": str(owner),
        "job_id": str(new.job_id),
        "lease_id": str(lease_id),
        "type": request.type,
        "queue": request.queue,
        "priority": request.priority,
        "payload": request.payload,
        "retry": [
            request.retry.kind,
            request.retry.max_retries,
            microseconds(request.retry.base),
            microseconds(request.retry.max_delay),
        ],
        "timeout_us": microseconds(request.timeout),
        "key": request.key,
        "traceparent": new.traceparent,
    }
    message = orjson.dumps(job)
    if len(message) > _TOLD_BYTES_MAX:
        message = orjson.dumps({"owner": str(owner)})
    return message[:-1].decode()


def matched_job(message: str, owner: IncarnationId) -> ClaimedJob | None:
    """The job that the owner is told of; None where it has to ask the store which it is."""
    try:
        job = orjson.loads(message)
        if job["owner"] != str(owner) or "job_id" not in job:
            return None
        kind, max_retries, base_us, max_delay_us = job["retry"]
        at = _EPOCH + timedelta(microseconds=job["at_us"])
        return ClaimedJob(
            job_id=JobId(UUID(job["job_id"])),
            lease_id=LeaseId(UUID(job["lease_id"])),
            lease_token=LeaseToken(1),
            owner=owner,
            worker_id=WorkerId(job["worker_id"]),
            type=job["type"],
            queue=job["queue"],
            priority=job["priority"],
            payload=JsonText(job["payload"]),
            waited_as=JobState.PENDING,
            attempt=0,
            retry_count=0,
            worker_deaths=0,
            retry=RetryPolicy(
                kind=RetryKind(kind),
                max_retries=max_retries,
                base=timedelta(microseconds=base_us),
                max_delay=timedelta(microseconds=max_delay_us),
            ),
            timeout=timedelta(microseconds=job["timeout_us"]),
            workflow_id=None,
            key=job["key"],
            depends_on=(),
            traceparent=job["traceparent"],
            created_at=at,
            scheduled_at=at,
            claimed_at=at,
            started_at=None,
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, InvalidField):
        return None  # whatever it is that somebody sent
