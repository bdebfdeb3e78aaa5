"""Every endpoint of the API, described once: what it takes, what it gives."""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Required, Unpack
from uuid import UUID, uuid4

from schedora.application.directives import as_delay
from schedora.domain.events import JobEvent
from schedora.domain.job_state import JobState
from schedora.domain.worker import WorkerState
from schedora.domain.workflow import WorkflowState
from schedora.entrypoints.sdk.api_views import (
    BatchRow,
    CanceledJob,
    CreatedWorkflow,
    DeepHealthView,
    HealthView,
    Page,
    QueueStats,
    QueueView,
    RetentionView,
    WhyView,
    WorkerList,
    WorkerView,
)
from schedora.entrypoints.sdk.conversation import Call, Conversation, Pause, ask, in_path
from schedora.entrypoints.sdk.decoding import data, nothing, structured, whole
from schedora.entrypoints.sdk.errors import Problem
from schedora.entrypoints.sdk.event_views import JobMove, StreamEvent, WorkflowStreamEvent
from schedora.entrypoints.sdk.following import PATIENCE, Following, follow
from schedora.entrypoints.sdk.log_views import JobLogView
from schedora.entrypoints.sdk.options import HandlerOptions, SubmissionOptions, TracedOptions
from schedora.entrypoints.sdk.trace_view import TraceView, trace
from schedora.entrypoints.sdk.views import JobView, WorkflowStatus, WorkflowView
from schedora.entrypoints.sdk.waiting import NO_END, Timeout

JobRef = JobView[Any] | UUID | str
WorkflowRef = WorkflowStatus | CreatedWorkflow | UUID | str

WAIT_LIMIT = timedelta(seconds=60)
"""The longest that the server waits in one request."""

EXAMINATION_LIMIT = timedelta(minutes=2)
"""The longest that the server takes to examine everything, when nothing it asks answers in time."""

WORKFLOW_PAUSE_SECONDS = 0.5


class NewJob(SubmissionOptions, total=False):
    """One job of a batch."""

    type: Required[str]
    payload: Mapping[str, Any]


class NewStep(HandlerOptions, total=False):
    """One job of a workflow; ``depends_on`` are keys of others."""

    key: Required[str]
    type: Required[str]
    payload: Mapping[str, Any]
    idempotency_key: str | None
    scheduled_at: datetime | None
    depends_on: Iterable[str]


def submit(
    type: str,  # noqa: A002 - called as the field is
    payload: Mapping[str, Any] | None = None,
    **options: Unpack[TracedOptions],
) -> Conversation[JobView[Any]]:
    """Stores a job. With an idempotency key that is taken it returns the job that has it, ``created`` False;
    without one, the client makes one, so that a submission cut off on its way can be sent again.
    """
    traceparent = options.pop("traceparent", None)
    job = {"type": type, "payload": payload or {}, **options}
    return ask(
        Call(
            method="POST",
            path="/jobs",
            body=_keyed(_wire(job)),
            headers={} if traceparent is None else {"traceparent": traceparent},
            decode=data(JobView[Any]),
            accept=_existing_job,
            repeatable=True,
        )
    )


def submit_many(jobs: Sequence[NewJob]) -> Conversation[list[BatchRow]]:
    """Stores all jobs or none; answers in the order given."""
    rows = [_keyed(_wire(job)) for job in jobs]
    return ask(
        Call(
            method="POST",
            path="/jobs/batch",
            body={"jobs": rows},
            decode=data(list[BatchRow]),
            repeatable=True,
        )
    )


def get_job(job: JobRef) -> Conversation[JobView[Any]]:
    """The job as it is now. Raises ``NotFoundError``."""
    return ask(_job(job, timedelta(0)))


def wait(job: JobRef, timeout: Timeout = None) -> Conversation[JobView[Any]]:
    """The job once it has ended: SUCCESS, DEAD or CANCELED.

    Raises ``TimeoutError`` when that takes longer than ``timeout`` (seconds or a timedelta), and
    ``NotFoundError``.
    """
    deadline = _deadline(timeout)
    while True:
        left = _left(deadline)
        seen = yield from ask(_job(job, min(left, WAIT_LIMIT)))
        if seen.ended:
            return seen
        if _left(deadline) <= timedelta(0):
            raise TimeoutError(f"job {seen.job_id} has not ended in time: it is {seen.status}")


def list_jobs(  # noqa: PLR0913 - the filters of the list
    *,
    status: JobState | str | Iterable[JobState | str] | None = None,
    type: str | None = None,  # noqa: A002 - called as the field is
    queue: str | None = None,
    workflow_id: WorkflowRef | None = None,
    worker_id: str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Conversation[Page[JobView[Any]]]:
    """Newest first. ``created_after`` is inclusive, ``created_before`` exclusive."""
    query = _query(
        status=_several(status),
        type=type,
        queue=queue,
        workflow_id=None if workflow_id is None else _id(workflow_id, "workflow_id"),
        worker_id=worker_id,
        created_after=created_after,
        created_before=created_before,
        limit=limit,
        cursor=cursor,
    )
    return ask(
        Call(method="GET", path="/jobs", query=query, decode=whole(Page[JobView[Any]]), repeatable=True)
    )


def cancel_job(job: JobRef) -> Conversation[CanceledJob]:
    """A running job is interrupted. Raises ``NotFoundError``; ``ConflictError`` when it has ended."""
    return ask(Call(method="POST", path=f"{_job_path(job)}/cancel", decode=data(CanceledJob)))


def retry_job(job: JobRef) -> Conversation[JobView[Any]]:
    """A DEAD or CANCELED job is PENDING again. Raises ``NotFoundError``; ``ConflictError`` for any other."""
    return ask(Call(method="POST", path=f"{_job_path(job)}/retry", decode=data(JobView[Any])))


def job_events(job: JobRef) -> Conversation[list[JobEvent]]:
    """All that happened to it, oldest first. Raises ``NotFoundError``."""
    return ask(
        Call(method="GET", path=f"{_job_path(job)}/events", decode=data(list[JobEvent]), repeatable=True)
    )


def job_why(job: JobRef) -> Conversation[WhyView]:
    """Why it does not run, or what it does. Raises ``NotFoundError``."""
    return ask(Call(method="GET", path=f"{_job_path(job)}/why", decode=data(WhyView), repeatable=True))


def job_trace(job: JobRef) -> Conversation[TraceView]:
    """What took how long: the spans of its submission, waits and attempts, and those of its handler. Raises
    ``NotFoundError``.
    """
    return ask(Call(method="GET", path=f"{_job_path(job)}/trace", decode=trace, repeatable=True))


def job_logs(
    job: JobRef, *, tail: int | None = None, attempt: int | None = None, after: str | None = None
) -> Conversation[JobLogView]:
    """What its handler logged, as far as that is kept: the last ``tail`` lines, of one ``attempt``, what came ``after``
    the ``last`` of an earlier answer. Raises ``NotFoundError``.
    """
    query = _query(tail=tail, attempt=attempt, after=after)
    path = f"{_job_path(job)}/logs"
    return ask(Call(method="GET", path=path, query=query, decode=data(JobLogView), repeatable=True))


def stream_events(
    *,
    queue: str | Iterable[str] | None = None,
    type: str | Iterable[str] | None = None,  # noqa: A002 - called as the field is
    status: JobState | str | Iterable[JobState | str] | None = None,
    workflow: WorkflowRef | Iterable[WorkflowRef] | None = None,
    job: JobRef | Iterable[JobRef] | None = None,
    after: str | None = None,
    patience: Timeout = PATIENCE,
) -> Following[StreamEvent]:
    """The moves of jobs as they happen, without end; of each filter, any value will do, and ``status`` is what a job
    comes to. ``after`` the event of that id, if it is given and not long ago.

    Comes back by itself to a server that goes away, and goes on where it was; when that takes longer than
    ``patience`` (seconds or a timedelta; None: whatever it takes), it raises ``Unavailable``. A loop that is left
    early should close the iterator (``contextlib.closing``, ``contextlib.aclosing``).
    """
    query = _query(
        queue=_several(queue),
        type=_several(type),
        status=_several(status),
        workflow_id=_ids(workflow, "workflow_id"),
        job_id=_ids(job, "job_id"),
    )
    return follow("/events", query, after=after, patience=_patience(patience))


def stream_job_events(
    job: JobRef, *, after: str | None = None, patience: Timeout = PATIENCE
) -> Following[JobMove]:
    """All that happened to it, and then each move as it happens, until the job has ended. None is missed. ``after``
    and ``patience`` as for ``stream_events``. Raises ``NotFoundError``.
    """
    return follow(f"{_job_path(job)}/events/stream", {}, after=after, patience=_patience(patience))


def stream_workflow_events(
    workflow: WorkflowRef, *, after: str | None = None, patience: Timeout = PATIENCE
) -> Following[WorkflowStreamEvent]:
    """Its status, now and whenever that changes, and the moves of its jobs as they happen, until it has ended.
    ``after`` and ``patience`` as for ``stream_events``. Raises ``NotFoundError``.
    """
    return follow(f"{_workflow_path(workflow)}/events/stream", {}, after=after, patience=_patience(patience))


def create_workflow(
    name: str,
    description: str = "",
    config: Mapping[str, Any] | None = None,
    jobs: Sequence[NewStep] = (),
) -> Conversation[CreatedWorkflow]:
    """Stores the whole graph or nothing. Raises ``ConflictError`` when the name is taken, and
    ``ValidationFailed`` for a graph that can't be satisfied.
    """
    body = {
        "name": name,
        "description": description,
        "config": config or {},
        "jobs": [_wire(job) for job in jobs],
    }
    return ask(Call(method="POST", path="/workflows", body=body, decode=data(CreatedWorkflow)))


def get_workflow(workflow: WorkflowRef) -> Conversation[WorkflowView]:
    """With its jobs and edges. Raises ``NotFoundError``."""
    return ask(Call(method="GET", path=_workflow_path(workflow), decode=data(WorkflowView), repeatable=True))


def list_workflows(
    *,
    status: WorkflowState | str | None = None,
    name: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Conversation[Page[WorkflowView]]:
    """Newest first, without their jobs."""
    query = _query(status=status, name=name, limit=limit, cursor=cursor)
    return ask(
        Call(
            method="GET",
            path="/workflows",
            query=query,
            decode=whole(Page[WorkflowView]),
            repeatable=True,
        )
    )


def workflow_status(workflow: WorkflowRef) -> Conversation[WorkflowStatus]:
    """How far it is. Raises ``NotFoundError``."""
    return ask(_workflow_status(workflow))


def wait_workflow(workflow: WorkflowRef, timeout: Timeout = None) -> Conversation[WorkflowView]:
    """The workflow once it has ended, with its jobs. Raises ``TimeoutError`` and ``NotFoundError``."""
    deadline = _deadline(timeout)
    while not (status := (yield from ask(_workflow_status(workflow)))).ended:
        left_seconds = _left(deadline).total_seconds()
        if left_seconds <= 0:
            raise TimeoutError(f"workflow {status.workflow_id} has not ended in time: it is {status.status}")
        yield Pause(seconds=min(WORKFLOW_PAUSE_SECONDS, left_seconds))
    return (yield from get_workflow(workflow))


def workflow_trace(
    workflow: WorkflowRef, *, limit: int | None = None, cursor: str | None = None
) -> Conversation[TraceView]:
    """What took how long: its own span, and those of so many of its jobs. Raises ``NotFoundError``."""
    query = _query(limit=limit, cursor=cursor)
    path = f"{_workflow_path(workflow)}/trace"
    return ask(Call(method="GET", path=path, query=query, decode=trace, repeatable=True))


def cancel_workflow(workflow: WorkflowRef) -> Conversation[WorkflowView]:
    """Cancels what has not ended. Raises ``NotFoundError``; ``ConflictError`` when it has ended."""
    return ask(Call(method="POST", path=f"{_workflow_path(workflow)}/cancel", decode=data(WorkflowView)))


def retry_workflow(workflow: WorkflowRef) -> Conversation[WorkflowView]:
    """Runs again what failed and what waited for it. Raises ``NotFoundError``; ``ConflictError`` unless it
    has failed.
    """
    return ask(Call(method="POST", path=f"{_workflow_path(workflow)}/retry", decode=data(WorkflowView)))


def list_workers(status: WorkerState | str | None = None) -> Conversation[WorkerList]:
    """Newest first."""
    query = _query(status_filter=status)
    return ask(Call(method="GET", path="/workers", query=query, decode=whole(WorkerList), repeatable=True))


def register_worker(
    worker_id: str,
    *,
    hostname: str = "",
    pid: int = 0,
    version: str = "",
    max_concurrent_jobs: int = 10,
    queues: Iterable[str] = (),
    types: Iterable[str] = (),
) -> Conversation[WorkerView]:
    """ACTIVE from now on; a live worker of this name is renewed."""
    body = {
        "worker_id": worker_id,
        "hostname": hostname,
        "pid": pid,
        "version": version,
        "max_concurrent_jobs": max_concurrent_jobs,
        "queues": list(queues),
        "types": list(types),
    }
    return ask(Call(method="POST", path="/workers/register", body=body, decode=data(WorkerView)))


def beat_worker(
    worker_id: str, *, cpu_percent: float | None = None, memory_percent: float | None = None
) -> Conversation[None]:
    """A sign of life. Raises ``NotFoundError``; ``ConflictError`` for a worker that must register again."""
    body = {"cpu_percent": cpu_percent, "memory_percent": memory_percent}
    path = f"/workers/{in_path(worker_id)}/heartbeat"
    return ask(Call(method="POST", path=path, body=body, decode=nothing, repeatable=True))


def drain_worker(worker_id: str) -> Conversation[WorkerView]:
    """It takes no new jobs and finishes what it runs. Raises ``NotFoundError`` and ``ConflictError``."""
    return ask(Call(method="POST", path=f"/workers/{in_path(worker_id)}/drain", decode=data(WorkerView)))


def queue_stats() -> Conversation[QueueStats]:
    """How full the queues are, each and all together."""
    return ask(Call(method="GET", path="/queue/stats", decode=whole(QueueStats), repeatable=True))


def pause_queue(queue: str) -> Conversation[QueueView]:
    """Its jobs wait; what runs goes on."""
    path = f"/queues/{in_path(queue)}/pause"
    return ask(Call(method="POST", path=path, decode=data(QueueView), repeatable=True))


def resume_queue(queue: str) -> Conversation[QueueView]:
    """Its jobs run again."""
    path = f"/queues/{in_path(queue)}/resume"
    return ask(Call(method="POST", path=path, decode=data(QueueView), repeatable=True))


def set_retention(
    queue: str,
    *,
    success: float | timedelta | None = None,
    canceled: float | timedelta | None = None,
    dead: float | timedelta | None = None,
) -> Conversation[RetentionView]:
    """For how long the queue keeps its ended jobs, by their state, in place of what was said before.

    Seconds or timedeltas; None: as long as the settings say for all.
    """
    spans = {"success": success, "canceled": canceled, "dead": dead}
    body = {
        f"{name}_seconds": None if span is None else as_delay(name, span).total_seconds()
        for name, span in spans.items()
    }
    path = f"/queues/{in_path(queue)}/retention"
    return ask(Call(method="PUT", path=path, body=body, decode=data(RetentionView), repeatable=True))


def purge_queue(queue: str | None = None) -> Conversation[int]:
    """Cancels every job that waits, in one queue or in all; answers how many."""
    return ask(
        Call(
            method="POST",
            path="/queue/purge",
            query=_query(queue=queue),
            decode=lambda body: whole(dict[str, Any])(body)["purged"],
        )
    )


def list_dlq(
    *,
    type: str | None = None,  # noqa: A002 - called as the field is
    queue: str | None = None,
    error_kind: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Conversation[Page[JobView[Any]]]:
    """The dead jobs, newest first; ``error_kind`` is that of the newest failed attempt."""
    query = _query(type=type, queue=queue, error_kind=error_kind, limit=limit, cursor=cursor)
    return ask(
        Call(method="GET", path="/dlq", query=query, decode=whole(Page[JobView[Any]]), repeatable=True)
    )


def requeue(
    job: JobRef | None = None,
    *,
    type: str | None = None,  # noqa: A002 - called as the field is
    queue: str | None = None,
    error_kind: str | None = None,
) -> Conversation[int]:
    """Runs dead jobs again: the one given, or all that fit the filters; answers how many.

    Raises, for one job, ``NotFoundError``, and ``ConflictError`` when it is not DEAD.
    """
    if job is not None:
        path = f"/dlq/{in_path(_id(job, 'job_id'))}/requeue"
        return ask(Call(method="POST", path=path, decode=lambda _body: 1))
    body = _query(type=type, queue=queue, error_kind=error_kind)
    return ask(
        Call(
            method="POST",
            path="/dlq/requeue",
            body=body,
            decode=lambda body: data(dict[str, Any])(body)["requeued"],
        )
    )


def delete_dead(job: JobRef) -> Conversation[None]:
    """Removes a dead job for good. Raises ``NotFoundError`` and ``ConflictError``."""
    path = f"/dlq/{in_path(_id(job, 'job_id'))}"
    return ask(Call(method="DELETE", path=path, decode=nothing))


def health() -> Conversation[HealthView]:
    """How the system is; ``unhealthy`` is an answer, too. Raises ``Unavailable`` without any answer."""
    return ask(
        Call(
            method="GET",
            path="/health",
            decode=data(HealthView),
            accept=lambda problem: _member(problem, HealthView),
            repeatable=True,
        )
    )


def deep_health() -> Conversation[DeepHealthView]:
    """What is wrong, what follows from it and what helps. The server takes a moment to examine everything."""
    return ask(
        Call(
            method="GET",
            path="/health/deep",
            decode=data(DeepHealthView),
            repeatable=True,
            patience=EXAMINATION_LIMIT,
        )
    )


def metrics() -> Conversation[str]:
    """In the text format of Prometheus."""
    return ask(Call(method="GET", path="/metrics", decode=bytes.decode, repeatable=True))


def _job(job: JobRef, wait_at_most: timedelta) -> Call[JobView[Any]]:
    wait_seconds = max(wait_at_most, timedelta(0)).total_seconds()
    return Call(
        method="GET",
        path=_job_path(job),
        query=_query(wait=wait_seconds or None),
        decode=data(JobView[Any]),
        patience=wait_at_most,
        repeatable=True,
    )


def _workflow_status(workflow: WorkflowRef) -> Call[WorkflowStatus]:
    path = f"{_workflow_path(workflow)}/status"
    return Call(method="GET", path=path, decode=data(WorkflowStatus), repeatable=True)


def _existing_job(problem: Problem) -> JobView[Any] | None:
    """The job that has the key, where a submission was refused for its key."""
    if problem.status != 409 or "same_request" not in problem.members:
        return None
    told = {"created": False, "same_request": problem.members["same_request"]}
    return structured({**problem.members["data"], **told}, JobView[Any])


def _member(problem: Problem, kind: type[HealthView]) -> HealthView | None:
    found = problem.members.get("data")
    return None if found is None else structured(found, kind)


def _job_path(job: JobRef) -> str:
    return f"/jobs/{in_path(_id(job, 'job_id'))}"


def _workflow_path(workflow: WorkflowRef) -> str:
    return f"/workflows/{in_path(_id(workflow, 'workflow_id'))}"


def _id(reference: object, name: str) -> str:
    return str(getattr(reference, name, reference))


def _several(values: object) -> list[str] | None:
    """One value, or several, as the query has them."""
    if values is None:
        return None
    return [values] if isinstance(values, str) else [str(value) for value in _each(values)]


def _ids(references: object, name: str) -> list[str] | None:
    if references is None:
        return None
    return [_id(reference, name) for reference in _each(references)]


def _each(values: object) -> Iterable[object]:
    return values if isinstance(values, Iterable) and not isinstance(values, str) else [values]


def _patience(patience: Timeout) -> timedelta:
    return NO_END if patience is None else as_delay("patience", patience)


def _keyed(job: dict[str, Any]) -> dict[str, Any]:
    return job if job.get("idempotency_key") is not None else {**job, "idempotency_key": str(uuid4())}


def _wire(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON has them; what is None is left out."""
    return {name: _json(value) for name, value in fields.items() if value is not None} | (
        {"depends_on": [_id(cause, "job_id") for cause in fields["depends_on"]]}
        if fields.get("depends_on") is not None
        else {}
    )


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, UUID) else value


def _query(**parameters: Any) -> dict[str, Any]:
    return {name: _json(value) for name, value in parameters.items() if value is not None}


def _deadline(timeout: Timeout) -> float:
    """On the monotonic clock, in seconds."""
    span = NO_END if timeout is None else as_delay("timeout", timeout)
    return time.monotonic() + span.total_seconds()


def _left(deadline_seconds: float) -> timedelta:
    return timedelta(seconds=deadline_seconds - time.monotonic())
