"""Handlers' own spans: whose children they are, and with which run they are kept."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import orjson
import pytest
from attrs import evolve
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from schedora.adapters.telemetry.run_spans import HandlerSpans
from schedora.application.telemetry.span import process_span_id
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import JsonText
from tests.builders import a_claimed_job

pytestmark = pytest.mark.usefixtures("no_provider")

TRACE_ID, SUBMITTED_AS = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Scope:
    """A run, and what it was left."""

    def __init__(self, *, sampled: bool = True) -> None:
        traceparent = f"00-{TRACE_ID}-{SUBMITTED_AS}-{'01' if sampled else '00'}"
        self.job: ClaimedJob = evolve(a_claimed_job(), traceparent=traceparent)
        self.left: list[dict[str, Any]] = []

    @property
    def started_at(self) -> datetime:
        return self.job.claimed_at

    @property
    def span_id(self) -> str:
        return process_span_id(self.job.job_id, self.job.claimed_at)

    def leave_line(self, line: JsonText) -> None:
        raise AssertionError(f"nothing is logged here: {line}")

    def leave_span(self, span: JsonText) -> None:
        self.left.append(orjson.loads(span))


@contextmanager
def inside(spans: HandlerSpans, scope: Scope) -> Iterator[None]:
    entered = spans.enter(scope)
    try:
        yield
    finally:
        spans.leave(entered)


def the_current() -> trace.SpanContext:
    return trace.get_current_span().get_span_context()


def test_the_attempt_is_the_current_span_inside_of_its_handler_and_nowhere_else() -> None:
    spans, scope, other = HandlerSpans(), Scope(), Scope(sampled=False)
    with inside(spans, scope):
        here = the_current()
        assert (here.trace_id, here.span_id) == (int(TRACE_ID, 16), int(scope.span_id, 16))
        assert (here.trace_flags.sampled, here.is_remote, here.is_valid) == (True, False, True)
        with inside(spans, other):
            assert the_current().span_id == int(other.span_id, 16)
            assert not the_current().trace_flags.sampled
        assert the_current() == here
    assert not the_current().is_valid


def test_what_was_current_around_it_stays_to_be_seen() -> None:
    spans = HandlerSpans()
    token = contexts.attach(contexts.set_value("tenant", "acme"))
    with inside(spans, Scope()):
        assert contexts.get_value("tenant") == "acme"
    contexts.detach(token)


def test_calls_elsewhere_carry_the_attempt() -> None:
    scope = Scope()
    carried: dict[str, str] = {}
    with inside(HandlerSpans(), scope):
        TraceContextTextMapPropagator().inject(carried)
    assert carried == {"traceparent": f"00-{TRACE_ID}-{scope.span_id}-01"}


def test_spans_made_inside_are_left_with_the_run_as_children_of_its_attempt() -> None:
    spans, scope = HandlerSpans(), Scope()
    tracer = trace.get_tracer("shop.orders", "2.1")
    with inside(spans, scope), tracer.start_as_current_span("charge"), tracer.start_as_current_span("card"):
        pass
    card, charge = scope.left
    assert (charge["name"], charge["parentSpanId"]) == ("charge", scope.span_id)
    assert (card["name"], card["parentSpanId"]) == ("card", charge["spanId"])
    assert {charge["traceId"], card["traceId"]} == {TRACE_ID}
    assert {"key": "otel.scope.name", "value": {"stringValue": "shop.orders"}} in charge["attributes"]


def test_spans_of_a_thread_that_was_given_the_context_are_left_with_the_run() -> None:
    spans, scope = HandlerSpans(), Scope()

    def work(context: contexts.Context) -> None:
        token = contexts.attach(context)
        with trace.get_tracer("shop").start_as_current_span("in a thread"):
            pass
        contexts.detach(token)

    with inside(spans, scope):
        thread = threading.Thread(target=work, args=(contexts.get_current(),))
        thread.start()
        thread.join()
    assert [span["name"] for span in scope.left] == ["in a thread"]


def test_spans_are_recorded_though_the_trace_is_not_sampled_for_the_attempt_may_fail() -> None:
    spans, scope = HandlerSpans(), Scope(sampled=False)
    with inside(spans, scope), trace.get_tracer("shop").start_as_current_span("charge") as span:
        assert span.is_recording()
        assert not span.get_span_context().trace_flags.sampled
        with trace.get_tracer("shop").start_as_current_span("card"):
            pass
    assert [left["name"] for left in scope.left] == ["card", "charge"]


def test_a_span_that_outlives_its_run_is_nobodys() -> None:
    stray: list[JsonText] = []
    spans, scope = HandlerSpans(stray.append), Scope()
    with inside(spans, scope):
        span = trace.get_tracer("shop").start_span("late")
    left = scope.left
    del scope
    span.end()
    assert left == []
    assert [orjson.loads(text)["name"] for text in stray] == ["late"]


def test_spans_outside_of_runs_are_stray_where_they_are_sampled() -> None:
    stray: list[JsonText] = []
    spans, scope = HandlerSpans(stray.append), Scope()
    with inside(spans, scope):
        pass
    with trace.get_tracer("shop").start_as_current_span("at the start"):
        pass
    assert [orjson.loads(text)["name"] for text in stray] == ["at the start"]
    assert scope.left == []


def test_a_handler_that_begins_a_trace_of_its_own_keeps_it_to_itself() -> None:
    spans, scope = HandlerSpans(), Scope()
    with inside(spans, scope):
        trace.get_tracer("shop").start_span("another trace", context=contexts.Context()).end()
    assert scope.left == []


def test_the_provider_that_a_program_has_is_kept_and_collected_from() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    spans, again, scope = HandlerSpans(), HandlerSpans(), Scope()
    with inside(spans, scope), inside(again, scope), trace.get_tracer("shop").start_as_current_span("charge"):
        pass
    assert trace.get_tracer_provider() is provider
    assert [span.name for span in exporter.get_finished_spans()] == ["charge"]
    assert [span["name"] for span in scope.left] == ["charge"]  # once, however many workers there are
    assert spans.taken_elsewhere


@pytest.mark.parametrize(("sampler", "left"), [(ALWAYS_ON, ["charge"]), (ALWAYS_OFF, [])])
def test_what_the_programs_own_sampler_drops_is_dropped(sampler: Any, left: list[str]) -> None:
    trace.set_tracer_provider(TracerProvider(sampler=sampler, shutdown_on_exit=False))
    scope = Scope()
    with inside(HandlerSpans(), scope), trace.get_tracer("shop").start_as_current_span("charge"):
        pass
    assert [span["name"] for span in scope.left] == left


def test_a_provider_that_takes_no_processor_is_left_alone() -> None:
    trace.set_tracer_provider(trace.NoOpTracerProvider())
    spans, scope = HandlerSpans(), Scope()
    with inside(spans, scope), trace.get_tracer("shop").start_as_current_span("charge"):
        assert the_current().span_id == int(scope.span_id, 16)
    assert scope.left == []
    assert spans.taken_elsewhere


def test_no_provider_is_set_up_in_a_process_of_the_programs_own() -> None:
    scope = Scope()
    with inside(HandlerSpans(in_process_of_its_own=False), scope):
        assert the_current().span_id == int(scope.span_id, 16)
        with trace.get_tracer("shop").start_as_current_span("charge"):
            pass
    theirs = TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(theirs)
    assert trace.get_tracer_provider() is theirs
    assert scope.left == []
    with (
        inside(HandlerSpans(in_process_of_its_own=False), scope),
        theirs.get_tracer("s").start_as_current_span("own"),
    ):
        pass
    assert [span["name"] for span in scope.left] == ["own"]


def test_a_span_that_cannot_be_told_fails_no_handler() -> None:
    scope = Scope()
    with inside(HandlerSpans(), scope), trace.get_tracer("shop").start_as_current_span("charge") as span:
        span.set_attribute("digits", 10**5_000)  # more than Python makes text of
    assert scope.left == []


def test_a_program_without_opentelemetry_does_not_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    spans = HandlerSpans()
    assert spans.enter(Scope()) is None
    spans.leave(None)
    assert not spans.taken_elsewhere
    assert "opentelemetry.trace" not in sys.modules


@pytest.mark.parametrize("sampled", [True, False])
def test_what_is_said_of_the_attempt_is_said_by_a_span_inside_of_it(sampled: bool) -> None:
    spans, scope = HandlerSpans(), Scope(sampled=sampled)
    with inside(spans, scope):
        current = trace.get_current_span()
        assert current.is_recording()
        current.set_attribute("order.id", 7)
        current.set_attributes({"customer": "acme"})
        current.add_event("paid")
        current.add_link(trace.SpanContext(5, 6, is_remote=True))
        current.record_exception(ValueError("card refused"))
        current.set_status(trace.StatusCode.ERROR, "no card")
        current.end()
        assert scope.left == []
        with trace.get_tracer("shop").start_as_current_span("charge"):
            pass
    charge, handler = scope.left
    assert charge["parentSpanId"] == handler["parentSpanId"] == scope.span_id
    assert (handler["name"], handler["traceId"]) == ("handler", TRACE_ID)
    told = {one["key"]: one["value"] for one in handler["attributes"]}
    assert told["order.id"] == {"intValue": "7"}
    assert told["customer"] == {"stringValue": "acme"}
    assert [event["name"] for event in handler["events"]] == ["paid", "exception"]
    assert handler["links"][0]["spanId"] == f"{6:016x}"
    assert handler["status"] == {"code": 2, "message": "no card"}


def test_the_span_inside_can_have_another_name() -> None:
    spans, scope = HandlerSpans(), Scope()
    with inside(spans, scope):
        trace.get_current_span().update_name("refund")
    assert [span["name"] for span in scope.left] == ["refund"]


def test_where_nothing_is_said_of_the_attempt_there_is_no_span_inside() -> None:
    spans, scope = HandlerSpans(), Scope()
    with inside(spans, scope):
        assert trace.get_current_span().is_recording()
    assert scope.left == []


def test_what_is_said_of_an_attempt_that_nobody_records_is_lost() -> None:
    trace.set_tracer_provider(trace.NoOpTracerProvider())
    spans, scope = HandlerSpans(), Scope()
    with inside(spans, scope):
        assert not trace.get_current_span().is_recording()
        trace.get_current_span().set_attribute("order.id", 7)
    assert scope.left == []
