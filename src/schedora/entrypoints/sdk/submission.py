"""Prepared jobs become stored ones."""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from schedora.application.errors import TooLarge
from schedora.domain.job_request import JobRequest
from schedora.domain.trace import TraceContext
from schedora.entrypoints.sdk.caller_trace import caller_trace, continued, opentelemetry
from schedora.entrypoints.sdk.definition import PreparedJob
from schedora.entrypoints.sdk.views import JobView, submitted_view

R = TypeVar("R")

TRACER = "schedora"

if TYPE_CHECKING:
    from schedora.entrypoints.system import System


def shared_connection(jobs: Sequence[PreparedJob[Any]], connection: object = None) -> object:
    """The connection that all of these are to be submitted on. Raises ``ValueError`` when they differ."""
    for job in jobs:
        if job.connection is None or job.connection is connection:
            continue
        if connection is not None:
            raise ValueError("jobs that are submitted together can't be on different connections")
        connection = job.connection
    return connection


def synchronous(connection: object) -> object:
    """``connection``, which must be one for the synchronous forms.

    Raises ``TypeError`` before an asynchronous one is touched: half a statement would break it for its owner.
    """
    execute = getattr(connection, "execute", None)
    # Pooled connections wrap the methods of real ones.
    if execute is not None and inspect.iscoroutinefunction(inspect.unwrap(execute)):
        raise TypeError(
            f"a {type(connection).__module__}.{type(connection).__qualname__} is asynchronous: use the"
            " asynchronous form of this call"
        )
    return connection


@contextmanager
def submission_span(jobs: Sequence[PreparedJob[Any]]) -> Iterator[TraceContext | None]:
    """What these jobs are to continue that are submitted inside: a span of its own, where the program records some."""
    caller = caller_trace()
    tracing = opentelemetry()
    if caller is None or tracing is None:
        yield caller
        return
    name = "submit"
    told: dict[str, str | int] = {
        "messaging.system": "schedora",
        "messaging.operation.name": name,
        "messaging.operation.type": "send",
    }
    if len(queues := {job.request.queue for job in jobs}) == 1:
        (queue,) = queues
        name = f"submit {queue}"
        told["messaging.destination.name"] = queue
    if len(jobs) != 1:
        told["messaging.batch.message_count"] = len(jobs)
    tracer = tracing.get_tracer(TRACER)
    with tracer.start_as_current_span(name, kind=tracing.SpanKind.PRODUCER, attributes=told) as span:
        yield continued(span.get_span_context())


async def submit_prepared(
    system: "System", job: PreparedJob[R], connection: object, trace: TraceContext | None = None
) -> JobView[R]:
    """Stores it. Waits for nothing but the store. ``trace`` is for a job that says none itself."""
    request = _within(job.request, trace)
    check_size("payload", request.payload, system.settings.max_payload_bytes)
    (submission,) = await system.submit_jobs([request], connection=connection)
    return submitted_view(submission)


async def submit_all_prepared(
    system: "System", jobs: Sequence[PreparedJob[Any]], connection: object, trace: TraceContext | None = None
) -> list[JobView[Any]]:
    """Stores them all or none; else as ``submit_prepared``."""
    bytes_max = system.settings.max_payload_bytes
    requests = [_within(job.request, trace) for job in jobs]
    for request in requests:
        check_size("payload", request.payload, bytes_max)
    submissions = await system.submit_jobs(requests, connection=connection)
    return [submitted_view(submission) for submission in submissions]


def _within(request: JobRequest, trace: TraceContext | None) -> JobRequest:
    return request if trace is None or request.trace is not None else request.within(trace)


def check_size(field: str, document: str, bytes_max: int) -> None:
    """Raises ``TooLarge``."""
    size_bytes = len(document) if document.isascii() else len(document.encode())
    if size_bytes > bytes_max:
        raise TooLarge(field, size_bytes, bytes_max)
