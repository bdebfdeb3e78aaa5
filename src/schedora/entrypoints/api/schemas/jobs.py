"""Jobs as they are shown."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field
from typing_extensions import TypedDict

from schedora.application.ports.jobs import Submission
from schedora.domain.events import AttemptError, JobEvent
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora.domain.retry import RetryKind
from schedora.domain.trace import trace_id_of
from schedora.entrypoints.api.answers import embedded, seconds
from schedora.entrypoints.api.schemas.fields import (
    AnyJson,
    Cursor,
    FilterName,
    ObjectJson,
    OfQueue,
    OfType,
    QueryInstant,
    QueryString,
    Utc,
    Uuid,
)

LIMIT_DEFAULT, LIMIT_MAX = 50, 500

Limit = Annotated[int, Field(ge=1, le=LIMIT_MAX, description="How many at most")]


class AttemptErrorView(TypedDict):
    """Why one attempt failed. ``kind`` is the exception's class name, or ``timeout``, ``worker_lost``,
    ``invalid_payload``, ``invalid_result``, ``poison``.
    """

    attempt: int
    at: Utc
    worker_id: str | None
    kind: str
    message: str
    traceback: str | None


class JobView(TypedDict):
    """A job. ``errors`` tells each failed attempt, ``progress`` what a running handler last reported."""

    job_id: UUID
    type: str
    payload: ObjectJson
    idempotency_key: str | None
    priority: int
    queue: str
    scheduled_at: Utc
    max_retries: int
    retry_policy: RetryKind
    retry_base_seconds: float
    retry_max_seconds: float
    timeout_seconds: float
    workflow_id: UUID | None
    key: str | None
    depends_on: list[UUID]
    status: JobState
    worker_id: str | None
    attempt: int
    retry_count: int
    lease_token: int
    worker_deaths: int
    created_at: Utc
    claimed_at: Utc | None
    started_at: Utc | None
    completed_at: Utc | None
    error_message: str | None
    errors: list[AttemptErrorView]
    progress: AnyJson
    result: AnyJson
    trace_id: str


# Written with the words that JSON has: "from" is none that a class could carry.
EventView = TypedDict(
    "EventView",
    {
        "at": Utc,
        "from": JobState | None,
        "to": JobState,
        "attempt": int,
        "worker_id": str | None,
        "reason": str | None,
    },
)


class CanceledView(TypedDict):
    job_id: UUID
    status: JobState
    message: str


class BatchRowView(TypedDict):
    """``existing``: found under its idempotency key; ``same_request`` tells whether by an equal request."""

    job_id: UUID
    outcome: Literal["created", "existing"]
    same_request: bool


class JobsQuery(QueryString):
    status: Annotated[
        list[JobState], Field(default_factory=list, description="Given more than once: any of these")
    ]
    type: OfType = None
    queue: OfQueue = None
    workflow_id: Annotated[Uuid | None, Field(description="Jobs of this workflow alone")] = None
    worker_id: Annotated[
        FilterName | None, Field(description="Jobs alone that this worker runs, or was the last to run")
    ] = None
    created_after: Annotated[
        QueryInstant | None, Field(description="Jobs alone that were created at this instant or later")
    ] = None
    created_before: Annotated[
        QueryInstant | None, Field(description="Jobs alone that were created before this instant")
    ] = None
    limit: Limit = LIMIT_DEFAULT
    cursor: Cursor = None


class WaitQuery(QueryString):
    wait: Annotated[float, Field(ge=0, le=60, description="Seconds to wait for the job's end")] = 0


def job_view(job: Job) -> JobView:
    request = job.request
    retry = request.retry
    return {
        "job_id": job.job_id,
        "type": request.type,
        "payload": embedded(request.payload),
        "idempotency_key": request.idempotency_key,
        "priority": request.priority,
        "queue": request.queue,
        "scheduled_at": job.scheduled_at,
        "max_retries": retry.max_retries,
        "retry_policy": retry.kind,
        "retry_base_seconds": seconds(retry.base),
        "retry_max_seconds": seconds(retry.max_delay),
        "timeout_seconds": seconds(request.timeout),
        "workflow_id": request.workflow_id,
        "key": request.key,
        "depends_on": list(request.depends_on),
        "status": job.status,
        "worker_id": job.worker_id,
        "attempt": job.attempt,
        "retry_count": job.retry_count,
        "lease_token": job.lease_token,
        "worker_deaths": job.worker_deaths,
        "created_at": job.created_at,
        "claimed_at": job.claimed_at,
        "started_at": job.started_at,
        "completed_at": job.completed_at,
        "error_message": job.error_message,
        "errors": [_error_view(error) for error in job.errors],
        "progress": embedded(job.lease.progress) if job.lease else None,
        "result": embedded(job.result),
        "trace_id": job.trace.trace_id,
    }


def submission_view(submission: Submission) -> JobView:
    """``job_view`` of its job, without the record, which a new job needs for nothing else."""
    if submission.record is not None:
        return job_view(submission.record)
    new, request, created_at = submission.new, submission.new.request, submission.created_at
    retry = request.retry
    return {
        "job_id": new.job_id,
        "type": request.type,
        "payload": embedded(request.payload),
        "idempotency_key": new.idempotency_key,
        "priority": request.priority,
        "queue": request.queue,
        "scheduled_at": request.scheduled_at or created_at,
        "max_retries": retry.max_retries,
        "retry_policy": retry.kind,
        "retry_base_seconds": seconds(retry.base),
        "retry_max_seconds": seconds(retry.max_delay),
        "timeout_seconds": seconds(request.timeout),
        "workflow_id": request.workflow_id,
        "key": request.key,
        "depends_on": list(request.depends_on),
        "status": JobState.PENDING,
        "worker_id": None,
        "attempt": 0,
        "retry_count": 0,
        "lease_token": 0,
        "worker_deaths": 0,
        "created_at": created_at,
        "claimed_at": None,
        "started_at": None,
        "completed_at": None,
        "error_message": None,
        "errors": [],
        "progress": None,
        "result": None,
        "trace_id": trace_id_of(new.traceparent),
    }


def event_view(event: JobEvent) -> EventView:
    return {
        "at": event.at,
        "from": event.from_state,
        "to": event.to_state,
        "attempt": event.attempt,
        "worker_id": event.worker_id,
        "reason": event.reason,
    }


def batch_row_view(submission: Submission) -> BatchRowView:
    return {
        "job_id": submission.job_id,
        "outcome": "created" if submission.created else "existing",
        "same_request": submission.same_request,
    }


def _error_view(error: AttemptError) -> AttemptErrorView:
    return {
        "attempt": error.attempt,
        "at": error.at,
        "worker_id": error.worker_id,
        "kind": error.kind,
        "message": error.message,
        "traceback": error.traceback,
    }
