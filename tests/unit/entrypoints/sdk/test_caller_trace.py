"""Jobs continue the trace of whoever submits them."""

import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.util._once import Once

from schedora import AsyncSchedoraClient, JobContext, JobView, Schedora, SchedoraClient
from schedora.application.errors import StoreUnavailable
from schedora.application.telemetry.span import process_span_id
from schedora.domain.trace import TraceContext
from schedora.testing import in_memory
from tests.unit.entrypoints.sdk.doors import Doors

CALLER = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1))
GIVEN = f"00-{7:032x}-{8:016x}-01"


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What the program's own provider has recorded."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    return exporter


@pytest.fixture
def tracer() -> trace.Tracer:
    return trace.get_tracer("shop")


def submission(recorded: InMemorySpanExporter) -> ReadableSpan:
    [span] = [span for span in recorded.get_finished_spans() if span.name.startswith("submit")]
    return span


async def stored(doors: Doors, job: JobView[Any]) -> TraceContext:
    found = await doors.system.jobs.get(job.job_id)
    assert found is not None
    return found.trace


async def by_submit(app: Schedora) -> JobView[Any]:
    return await app.submit("echo", {})


async def by_submit_many(app: Schedora) -> JobView[Any]:
    return (await app.submit_many([app.prepare("echo"), app.prepare("echo")]))[1]


async def in_workflow(app: Schedora) -> JobView[Any]:
    flow = app.workflow("one")
    flow.add(app.prepare("echo"), key="a")
    return (await flow.submit()).jobs["a"]


WAYS = [by_submit, by_submit_many, in_workflow]


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_submitted_in_a_span_is_a_part_of_its_trace(
    app: Schedora, doors: Doors, recorded: InMemorySpanExporter, tracer: trace.Tracer, way: Callable[..., Any]
) -> None:
    async with app:
        with tracer.start_as_current_span("order") as order:
            job = await way(app)
    continued = await stored(doors, job)
    span = submission(recorded)
    assert span.kind is SpanKind.PRODUCER
    assert span.parent is not None
    assert span.context is not None
    assert span.parent.span_id == order.get_span_context().span_id
    assert int(continued.trace_id, 16) == order.get_span_context().trace_id == span.context.trace_id
    assert int(continued.span_id, 16) == span.context.span_id
    assert continued.sampled
    assert dict(span.attributes or {})["messaging.destination.name"] == "default"


def test_programs_without_an_event_loop_continue_theirs(app: Schedora, tracer: trace.Tracer) -> None:
    flow = app.workflow("one")
    flow.add(app.prepare("echo"), key="a")
    with app, tracer.start_as_current_span("order") as order:
        jobs = [
            app.submit_sync("echo"),
            *app.submit_many_sync([app.prepare("echo")]),
            *flow.submit_sync().jobs.values(),
        ]
    assert {int(job.trace_id, 16) for job in jobs} == {order.get_span_context().trace_id}


async def test_many_for_several_queues_are_one_submission(
    app: Schedora, recorded: InMemorySpanExporter, tracer: trace.Tracer
) -> None:
    async with app:
        with tracer.start_as_current_span("order"):
            await app.submit_many([app.prepare("echo", queue="a"), app.prepare("echo", queue="b")])
    span = submission(recorded)
    told = dict(span.attributes or {})
    assert span.name == "submit"
    assert told["messaging.batch.message_count"] == 2
    assert "messaging.destination.name" not in told


async def test_a_submission_that_fails_is_a_span_that_says_so(
    app: Schedora, doors: Doors, recorded: InMemorySpanExporter, tracer: trace.Tracer
) -> None:
    doors.failures = 1
    with tracer.start_as_current_span("order"), pytest.raises(StoreUnavailable):
        await app.submit("echo")
    assert submission(recorded).status.status_code is StatusCode.ERROR


async def test_a_trace_that_is_given_is_the_one(app: Schedora, doors: Doors, tracer: trace.Tracer) -> None:
    async with app:
        with tracer.start_as_current_span("order"):
            job = await app.submit("echo", traceparent=GIVEN)
            [other] = await app.submit_many([app.prepare("echo", traceparent=GIVEN)])
        assert [(await stored(doors, one)).traceparent for one in (job, other)] == [GIVEN] * 2


@pytest.mark.parametrize("way", WAYS)
async def test_outside_of_spans_each_submission_begins_a_trace(
    app: Schedora, recorded: InMemorySpanExporter, way: Callable[..., Any]
) -> None:
    async with app:
        await way(app)
    assert recorded.get_finished_spans() == ()


async def test_a_trace_is_continued_though_nothing_records(
    app: Schedora, doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", trace.NoOpTracerProvider())
    async with app:
        with trace.use_span(NonRecordingSpan(CALLER)):
            job = await app.submit("echo")
        assert (await stored(doors, job)).traceparent == f"00-{0xABC:032x}-{0xDEF:016x}-01"


async def test_a_trace_that_is_not_sampled_stays_so(app: Schedora, doors: Doors) -> None:
    unsampled = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(0))
    async with app:
        with trace.use_span(NonRecordingSpan(unsampled)):
            job = await app.submit("echo")
        continued = await stored(doors, job)
    assert (int(continued.trace_id, 16), continued.sampled) == (0xABC, False)


@pytest.fixture
def without_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")


@pytest.mark.usefixtures("without_opentelemetry")
async def test_jobs_submitted_in_a_handler_continue_its_trace_without_opentelemetry(app: Schedora) -> None:
    await _check_handler_continues(app)


async def test_jobs_submitted_in_a_handler_continue_its_trace(app: Schedora) -> None:
    await _check_handler_continues(app)


async def _check_handler_continues(app: Schedora) -> None:
    inside: list[str] = []

    @app.job("parent")
    async def parent(ctx: JobContext) -> None:
        inside.append(ctx.traceparent)
        await app.submit("echo", {"from": "a coroutine"})

    async with in_memory(app) as sched:
        await app.submit("parent")
        await sched.run_until_idle()
        [of_parent] = sched.jobs("parent")
        [of_child] = sched.jobs("echo")
        assert of_child.trace_id == of_parent.trace_id
        found = await sched.system.jobs.get(of_parent.job_id)
        assert found is not None
        assert found.claimed_at is not None
        span_id = process_span_id(found.job_id, found.claimed_at)
        assert inside == [found.trace.followed_by(span_id).traceparent]


async def test_calls_of_the_api_carry_the_current_span(tracer: trace.Tracer) -> None:
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("traceparent"))
        return httpx.Response(200, json={"message": "ok", "purged": 0})

    transport = httpx.MockTransport(answer)
    with SchedoraClient("http://api", transport=transport) as client:
        client.purge_queue()
        with tracer.start_as_current_span("order") as order:
            client.purge_queue()
    async with AsyncSchedoraClient("http://api", transport=transport) as other:
        with trace.use_span(order):
            await other.purge_queue()
    async with AsyncSchedoraClient("http://api", transport=transport, headers={"traceparent": GIVEN}) as own:
        with trace.use_span(order):
            await own.purge_queue()
    context = order.get_span_context()
    told = f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
    assert seen == [None, told, told, GIVEN]


async def test_spans_of_handlers_are_kept_in_memory_too(app: Schedora, tracer: trace.Tracer) -> None:
    @app.job("traced")
    async def traced() -> None:
        with tracer.start_as_current_span("charge"):
            pass

    async with in_memory(app) as sched:
        job = await traced.submit()
        await sched.run_until_idle()
        [run_log] = (await sched.system.run_logs.spans_of([job.job_id]))[job.job_id]
    assert ['"name":"charge"' in span for span in run_log.spans] == [True]


async def test_what_a_handler_leaves_in_the_context_is_not_found_by_the_next(app: Schedora) -> None:
    found: list[tuple[object, str]] = []

    @app.job("leaves")
    async def leaves(ctx: JobContext) -> None:
        current = trace.get_current_span().get_span_context()
        found.append((contexts.get_value("left"), f"{current.span_id:016x}"))
        contexts.attach(contexts.set_value("left", ctx.job_id))  # and never detached

    async with in_memory(app, concurrency=1) as sched:
        jobs = await app.submit_many([leaves.prepare() for _ in range(3)])
        await sched.run_until_idle()
        records = [await sched.system.jobs.get(job.job_id) for job in jobs]
    own = [
        process_span_id(r.job_id, r.claimed_at) for r in records if r is not None and r.claimed_at is not None
    ]
    assert found == [(None, span_id) for span_id in own]
