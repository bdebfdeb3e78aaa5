"""Jobs and workflows as Python programs see them: values, true at the moment they were read."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from attrs import field, frozen

from schedora.application.encoding import decode_json
from schedora.application.ports.jobs import Submission
from schedora.domain.events import AttemptError
from schedora.domain.ids import JobId, JsonText, LeaseToken, WorkerId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.job_state import ENDED, JobState
from schedora.domain.retry import RetryKind
from schedora.domain.workflow import ENDED_WORKFLOW, Workflow, WorkflowState

R_co = TypeVar("R_co", covariant=True)


class NotSucceeded(Exception):
    """A job has no value: it is not SUCCESS. ``job`` tells what it is."""

    def __init__(self, job: "JobView[Any]") -> None:
        self.job = job
        because = f": {job.error_message}" if job.error_message else ""
        super().__init__(f"job {job.job_id} is {job.status}{because}")


class _Submitted:
    """A view of what was submitted, whose slots are filled at the first look at one: of a batch, few are."""

    __slots__ = ("_submission",)

    if not TYPE_CHECKING:  # a checker knows each slot by its type, and that there is nothing else

        def __getattr__(self, name: str) -> Any:
            """Called for what is not there: a slot that is not filled yet, or no slot at all."""
            with suppress(AttributeError):  # it is not a view of a submission, or another thread was faster
                submission = object.__getattribute__(self, "_submission")
                for field_name, value in _fields_of_submission(submission).items():
                    object.__setattr__(self, field_name, value)
                object.__delattr__(self, "_submission")
            return object.__getattribute__(self, name)


@frozen(kw_only=True)
class JobView(_Submitted, Generic[R_co]):
    """A job. ``created`` is False where a submission found it under its idempotency key; then
    ``same_request`` tells whether the stored request is the same.
    """

    job_id: JobId
    type: str
    payload: Any = field(hash=False, repr=False)
    idempotency_key: str | None
    priority: int
    queue: str
    scheduled_at: datetime
    max_retries: int
    retry_policy: RetryKind
    retry_base_seconds: float
    retry_max_seconds: float
    timeout_seconds: float
    workflow_id: WorkflowId | None
    key: str | None
    depends_on: tuple[JobId, ...]
    status: JobState
    worker_id: WorkerId | None
    attempt: int
    retry_count: int
    lease_token: LeaseToken
    worker_deaths: int
    created_at: datetime
    claimed_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    error_message: str | None
    errors: tuple[AttemptError, ...]
    progress: Any = field(hash=False, repr=False)
    """What the running handler last reported: ``{"fraction": ..., "message": ...}``; else None."""
    result: Any = field(hash=False, repr=False)
    """What the handler returned; None unless it is SUCCESS."""
    trace_id: str
    created: bool = True
    same_request: bool = True

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    def value(self) -> R_co:
        """The result of a job that succeeded. Raises ``NotSucceeded`` for any other."""
        if self.status is not JobState.SUCCESS:
            raise NotSucceeded(self)
        return cast("R_co", self.result)


@frozen(kw_only=True)
class WorkflowStatus:
    """A workflow's jobs by what has become of them; ``pending_jobs`` includes SCHEDULED and RETRYING."""

    workflow_id: WorkflowId
    status: WorkflowState
    total_jobs: int
    completed_jobs: int
    pending_jobs: int
    failed_jobs: int
    running_jobs: int
    canceled_jobs: int

    @property
    def ended(self) -> bool:
        return self.status in ENDED_WORKFLOW


@frozen(kw_only=True)
class WorkflowView(WorkflowStatus):
    """A workflow. ``jobs`` and ``edges`` (cause, effect) are there where one workflow was asked for."""

    name: str
    description: str
    config: Any = field(hash=False, repr=False)
    created_at: datetime
    completed_at: datetime | None
    jobs: tuple[JobView[Any], ...] = field(default=(), repr=False)
    edges: tuple[tuple[JobId, JobId], ...] = field(default=(), repr=False)

    def job(self, key: str) -> JobView[Any]:
        """The job of this key. Raises ``KeyError``."""
        for job in self.jobs:
            if job.key == key:
                return job
        raise KeyError(key)


def job_view(job: Job, *, created: bool = True, same_request: bool = True) -> JobView[Any]:
    return JobView(**_fields_of(job, created=created, same_request=same_request))


def submitted_view(submission: Submission) -> JobView[Any]:
    """Read from the submission at the first look at it."""
    view: JobView[Any] = object.__new__(JobView)
    object.__setattr__(view, "_submission", submission)
    return view


def _fields_of_submission(submission: Submission) -> dict[str, Any]:
    return _fields_of(submission.job, created=submission.created, same_request=submission.same_request)


def _fields_of(job: Job, *, created: bool, same_request: bool) -> dict[str, Any]:
    request = job.request
    return {
        "job_id": job.job_id,
        "type": request.type,
        "payload": decode_json(request.payload),
        "idempotency_key": request.idempotency_key,
        "priority": request.priority,
        "queue": request.queue,
        "scheduled_at": job.scheduled_at,
        "max_retries": request.retry.max_retries,
        "retry_policy": request.retry.kind,
        "retry_base_seconds": request.retry.base.total_seconds(),
        "retry_max_seconds": request.retry.max_delay.total_seconds(),
        "timeout_seconds": request.timeout.total_seconds(),
        "workflow_id": request.workflow_id,
        "key": request.key,
        "depends_on": request.depends_on,
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
        "errors": job.errors,
        "progress": _decoded(job.lease.progress if job.lease is not None else None),
        "result": _decoded(job.result),
        "trace_id": job.trace.trace_id,
        "created": created,
        "same_request": same_request,
    }


def workflow_view(workflow: Workflow, jobs: Sequence[Job] = ()) -> WorkflowView:
    counts = workflow.counts
    return WorkflowView(
        workflow_id=workflow.workflow_id,
        name=workflow.name,
        description=workflow.description,
        status=workflow.status,
        created_at=workflow.created_at,
        completed_at=workflow.completed_at,
        total_jobs=counts.total,
        completed_jobs=counts.succeeded,
        pending_jobs=counts.pending,
        failed_jobs=counts.failed,
        running_jobs=counts.running,
        canceled_jobs=counts.canceled,
        config=decode_json(workflow.config),
        jobs=tuple(job_view(job) for job in jobs),
        edges=tuple((cause, job.job_id) for job in jobs for cause in job.request.depends_on),
    )


def _decoded(text: JsonText | None) -> Any:
    return None if text is None else decode_json(text)
