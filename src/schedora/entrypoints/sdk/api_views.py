"""What only the API tells: batches, lists, workers, queues, health."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from attrs import frozen

from schedora.diagnosis.doctor.finding import Severity
from schedora.domain.ids import JobId, WorkerId, WorkflowId
from schedora.domain.job_state import JobState
from schedora.domain.worker import WorkerState
from schedora.domain.workflow import WorkflowState

T_co = TypeVar("T_co", covariant=True)


@frozen(kw_only=True)
class Page(Generic[T_co]):
    """A part of a list. ``next_cursor`` asks for the next part; None at the end."""

    data: tuple[T_co, ...]
    next_cursor: str | None = None

    def __iter__(self) -> Iterator[T_co]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> T_co:
        return self.data[index]


@frozen(kw_only=True)
class BatchRow:
    """What became of one job of a batch: ``created``, or found ``existing`` under its idempotency key."""

    job_id: JobId
    outcome: str
    same_request: bool

    @property
    def created(self) -> bool:
        return self.outcome == "created"


@frozen(kw_only=True)
class CanceledJob:
    job_id: JobId
    status: JobState
    message: str


@frozen(kw_only=True)
class CreatedStep:
    job_id: JobId
    key: str | None
    type: str
    status: JobState


@frozen(kw_only=True)
class CreatedWorkflow:
    """A workflow as it was stored; ``jobs`` in the order in which they were given."""

    workflow_id: WorkflowId
    name: str
    status: WorkflowState
    jobs: tuple[CreatedStep, ...] = ()

    def job_id(self, key: str) -> JobId:
        """The id of the job of this key. Raises ``KeyError``."""
        for job in self.jobs:
            if job.key == key:
                return job.job_id
        raise KeyError(key)


@frozen(kw_only=True)
class WorkerView:
    worker_id: WorkerId
    incarnation_id: UUID
    status: WorkerState
    hostname: str
    pid: int
    version: str
    max_concurrent_jobs: int
    running_jobs: int
    queues: tuple[str, ...]
    """Empty: all of them."""
    types: tuple[str, ...]
    registered_at: datetime
    last_heartbeat: datetime
    cpu_percent: float | None
    memory_percent: float | None
    stuck_threads: int = 0
    """Of its slots, those whose handler was given up and does not end."""
    death: str | None = None
    """How its process ended, where that was seen."""


@frozen(kw_only=True)
class WorkerList:
    workers: tuple[WorkerView, ...]
    total: int

    def __iter__(self) -> Iterator[WorkerView]:
        return iter(self.workers)

    def __len__(self) -> int:
        return len(self.workers)


@frozen(kw_only=True)
class RetentionView:
    """For how long a queue keeps its ended jobs; None: as long as the settings say for all."""

    success_seconds: float | None
    canceled_seconds: float | None
    dead_seconds: float | None


@frozen(kw_only=True)
class QueueFigures:
    """How full one queue is. ``oldest_ready_seconds``: for how long its oldest ready job has been waiting."""

    pending_jobs: int
    running_jobs: int
    dlq_jobs: int
    by_status: Mapping[JobState, int]
    paused: bool
    oldest_ready_seconds: float | None
    retention: RetentionView


@frozen(kw_only=True)
class QueueStats:
    """How full all queues are together, and each by its name in ``queues``.

    ``unhandled_types`` are types of waiting jobs that no live worker has a handler for. Where more than 100,000 jobs wait
    they were counted ``counted_seconds_ago``.
    """

    pending_jobs: int
    running_jobs: int
    dlq_jobs: int
    by_status: Mapping[JobState, int]
    oldest_ready_seconds: float | None
    unhandled_types: tuple[str, ...]
    queues: Mapping[str, QueueFigures]
    counted_seconds_ago: float = 0.0


@frozen(kw_only=True)
class QueueView:
    queue: str
    paused: bool
    paused_at: datetime | None


@frozen(kw_only=True)
class UpstreamJob:
    """A job that stands in the way of another. ``since``: since when it is held or has ended; of one that waits, when
    it is due.
    """

    job_id: JobId
    key: str | None
    type: str
    status: JobState
    since: datetime
    waits_for: int
    worker_id: WorkerId | None
    error_kind: str | None
    error_message: str | None


@frozen(kw_only=True)
class Reason:
    """One reason why a job does not run, or what it does: a code, a message, and what belongs to that code; the rest
    is None or empty.
    """

    code: str
    message: str
    since: datetime | None = None
    until: datetime | None = None
    eta_seconds: float | None = None
    count: int | None = None
    at_least: bool | None = None
    per_second: float | None = None
    slots: int | None = None
    attempt: int | None = None
    queue: str | None = None
    type: str | None = None
    worker_ids: tuple[WorkerId, ...] = ()
    last_heartbeat: datetime | None = None
    error_kind: str | None = None
    error_message: str | None = None
    jobs: tuple[UpstreamJob, ...] = ()


@frozen(kw_only=True)
class WhyView:
    """Why a job does not run, or what it does: the decisive reasons first. ``ready``: a claim with room would take it."""

    job_id: JobId
    status: JobState
    ready: bool
    summary: str
    reasons: tuple[Reason, ...]

    def reason(self, code: str) -> Reason | None:
        """The reason of this code; None where it does not hold."""
        return next((reason for reason in self.reasons if reason.code == code), None)


@frozen(kw_only=True)
class WorkerCounts:
    total: int
    active: int
    stale: int


@frozen(kw_only=True)
class HealthView:
    """``status``: ``healthy``, ``degraded`` or ``unhealthy``. ``database`` and ``redis``: ``up``, ``down``, or
    ``disabled`` where none is configured.
    """

    status: str
    database: str
    redis: str
    workers: WorkerCounts


@frozen(kw_only=True)
class FindingView:
    """``severity``: ``ok`` for what is worth knowing, ``warning`` or ``critical``. ``details`` says in values what ``found``
    says in words.
    """

    code: str
    severity: Severity
    check: str
    found: str
    consequence: str
    fix: str
    details: Mapping[str, Any]


@frozen(kw_only=True)
class CheckView:
    """``status``: the worst severity that it has found, or ``not_done``. ``not_done``: why it, or a part of it, could not be
    done.
    """

    name: str
    status: str
    not_done: str | None


@frozen(kw_only=True)
class DeepHealthView:
    """What the doctor has found, worst first, and what it has looked at. ``status`` is the worst severity."""

    status: Severity
    examined_at: datetime
    seconds: float
    findings: tuple[FindingView, ...]
    checks: tuple[CheckView, ...]
