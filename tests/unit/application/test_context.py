"""What a handler sees of its run."""

import asyncio
from typing import Any

import attrs
import pytest
from structlog.testing import capture_logs

from schedora.application.context import JobContext, run_without_waiting
from schedora.application.errors import LeaseLost, NotJson, TooLarge
from schedora.application.telemetry.span import process_span_id
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.errors import InvalidField
from schedora.domain.ids import JsonText, LeaseToken
from tests.builders import TRACE, a_claimed_job, a_workflow_id


class RecordedLink:
    """Keeps what it is told. ``waits``: as with an asynchronous connection."""

    def __init__(self, *, waits: bool = False, error: Exception | None = None) -> None:
        self.reports: list[str] = []
        self.completions: list[tuple[object, str]] = []
        self.cancelled = False
        self._waits = waits
        self._error = error

    def report(self, progress: JsonText) -> None:
        self.reports.append(progress)

    async def complete_in(self, connection: object, result: JsonText) -> None:
        if self._waits:
            await asyncio.sleep(0)
        if self._error is not None:
            raise self._error
        self.completions.append((connection, result))


def a_context(job: ClaimedJob | None = None, link: RecordedLink | None = None, **fields: Any) -> JobContext:
    defaults: dict[str, Any] = {"upstream": {}, "result_bytes_max": 20}
    return JobContext(job or a_claimed_job(), link=link or RecordedLink(), **defaults | fields)


def test_job_is_told_as_its_holder_knows_it() -> None:
    workflow_id = a_workflow_id()
    job = a_claimed_job(attempt=2, lease_token=LeaseToken(7), workflow_id=workflow_id)
    context = a_context(job, upstream={"validate": 1})
    assert (context.job, context.job_id, context.workflow_id) == (job, job.job_id, workflow_id)
    assert (context.attempt, context.lease_token, context.trace_id) == (3, 7, TRACE.trace_id)
    assert context.upstream["validate"] == 1


def test_malformed_trace_is_none() -> None:
    assert a_context(a_claimed_job(traceparent="nonsense")).trace_id is None


def test_what_gets_its_traceparent_is_a_child_of_the_attempt() -> None:
    job = a_claimed_job()
    span_id = process_span_id(job.job_id, job.claimed_at)
    assert a_context(job).traceparent == f"00-{TRACE.trace_id}-{span_id}-01"


def test_cancelled_follows_the_run() -> None:
    link = RecordedLink()
    context = a_context(link=link)
    assert not context.cancelled
    link.cancelled = True
    assert context.cancelled


@pytest.mark.parametrize("in_workflow", [False, True])
def test_logger_carries_the_identity_of_the_run(in_workflow: bool) -> None:
    job = a_claimed_job(workflow_id=a_workflow_id() if in_workflow else None)
    with capture_logs() as logged:
        context = a_context(job)
        context.logger.info("hello", own=1)
        assert context.logger is context.logger
    workflow = {"workflow_id": str(job.workflow_id)} if in_workflow else {}
    assert logged == [
        {
            "event": "hello",
            "log_level": "info",
            "own": 1,
            "job_id": str(job.job_id),
            "job_type": "work",
            "worker_id": "w1",
            "attempt": 1,
            "trace_id": TRACE.trace_id,
        }
        | workflow
    ]


@pytest.mark.parametrize("fraction", [0, 0.25, 1])
def test_progress_is_reported(fraction: float) -> None:
    link = RecordedLink()
    a_context(link=link).progress(fraction, "ü")
    assert link.reports == [f'{{"fraction":{fraction},"message":"ü"}}']


@pytest.mark.parametrize("fraction", [-0.01, 1.01, float("nan"), float("inf")])
def test_progress_out_of_range_is_refused(fraction: float) -> None:
    link = RecordedLink()
    with pytest.raises(InvalidField, match="fraction must be between 0 and 1"):
        a_context(link=link).progress(fraction)
    assert link.reports == []


def test_message_that_can_not_be_stored_is_refused() -> None:
    with pytest.raises(NotJson, match="NUL"):
        a_context().progress(0.5, "a\x00b")


async def test_completion_in_a_transaction_carries_the_result_encoded() -> None:
    link, connection = RecordedLink(waits=True), object()
    await a_context(link=link).complete_in(connection, {"b": 1, "a": 2})
    await a_context(link=link).complete_in(connection)
    assert link.completions == [(connection, '{"a":2,"b":1}'), (connection, "null")]


def test_completion_from_a_thread_never_waits() -> None:
    link, connection = RecordedLink(), object()
    a_context(link=link).complete_in_sync(connection, 1)
    assert link.completions == [(connection, "1")]


def test_asynchronous_connection_in_a_thread_is_refused() -> None:
    link = RecordedLink(waits=True)
    with pytest.raises(TypeError, match="the connection is asynchronous"):
        a_context(link=link).complete_in_sync(object(), 1)
    assert link.completions == []


def test_lost_lease_passes_through() -> None:
    with pytest.raises(LeaseLost):
        a_context(link=RecordedLink(error=LeaseLost("gone"))).complete_in_sync(object())


@pytest.mark.parametrize(
    ("result", "error"),
    [(object(), NotJson), (float("nan"), NotJson), ("x" * 19, TooLarge), ("ü" * 10, TooLarge)],
)
async def test_result_that_can_not_be_kept_is_refused_before_anything_is_written(
    result: object, error: type[Exception]
) -> None:
    link = RecordedLink()
    with pytest.raises(error):
        await a_context(link=link).complete_in(object(), result)
    with pytest.raises(error):
        a_context(link=link).complete_in_sync(object(), result)
    assert link.completions == []


async def test_result_may_fill_its_limit() -> None:
    link = RecordedLink()
    await a_context(link=link).complete_in(object(), "ü" * 9)
    assert len(link.completions) == 1


def test_coroutine_that_does_not_wait_is_run_to_its_end() -> None:
    async def answer() -> int:
        return 42

    assert run_without_waiting(answer()) == 42


def test_coroutine_that_waits_is_closed() -> None:
    closed = False

    async def wait() -> None:
        nonlocal closed
        try:
            await asyncio.sleep(0)
        finally:
            closed = True

    with pytest.raises(TypeError):
        run_without_waiting(wait())
    assert closed


def test_context_of_a_job_without_workflow_has_none() -> None:
    assert a_context(attrs.evolve(a_claimed_job(), workflow_id=None)).workflow_id is None
