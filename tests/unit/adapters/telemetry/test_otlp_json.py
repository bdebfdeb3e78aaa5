"""Spans as JSON: what any reader of OTLP takes, and what comes back as it was."""

import math
from typing import Any

import orjson
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from schedora.adapters.telemetry.otlp_json import recorded_span, span_json

NOT_SAID = ("_instrumentation_info", "_resource")


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def recorded(provider: TracerProvider, exporter: InMemorySpanExporter) -> ReadableSpan:
    tracer = provider.get_tracer("shop.orders", "2.1")
    cause = SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(1))
    with tracer.start_as_current_span("around"):
        span = tracer.start_span(
            "charge",
            kind=SpanKind.CLIENT,
            links=[Link(cause, {"why": "asked"})],
            attributes={"order.id": 2**40},
        )
    span.set_attributes({"ok": True, "rate": 0.5, "words": ["a", "b"], "numbers": [1, 2]})
    span.add_event("paid", {"cents": 12}, 5)
    span.set_status(Status(StatusCode.ERROR, "card refused"))
    span.end()
    return exporter.get_finished_spans()[-1]


def test_a_span_comes_back_as_it_was(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    span = recorded(provider, exporter)
    resource = Resource({"service.name": "shop"})
    back = recorded_span(span_json(span), resource)
    assert back.resource is resource
    for told in ("name", "kind", "start_time", "end_time", "instrumentation_scope"):
        assert getattr(back, told) == getattr(span, told), told
    assert dict(back.attributes or {}) == dict(span.attributes or {})
    assert (back.status.status_code, back.status.description) == (StatusCode.ERROR, "card refused")
    (event,) = back.events
    assert (event.name, dict(event.attributes or {}), event.timestamp) == ("paid", {"cents": 12}, 5)
    (link,) = back.links
    assert (link.context.trace_id, link.context.span_id, dict(link.attributes or {})) == (
        7,
        8,
        {"why": "asked"},
    )
    assert span.context is not None
    assert back.context is not None
    assert (back.context.trace_id, back.context.span_id) == (span.context.trace_id, span.context.span_id)
    assert back.context.trace_flags == span.context.trace_flags
    assert span.parent is not None
    assert back.parent is not None
    assert back.parent.span_id == span.parent.span_id


def test_it_is_json_of_otlp(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    span = recorded(provider, exporter)
    told = orjson.loads(span_json(span))
    # Ids are hex digits in OTLP, against what protobuf's JSON has for bytes.
    for holder in (told, *told["links"]):
        for name in {"traceId", "spanId", "parentSpanId"} & holder.keys():
            assert bytes.fromhex(holder[name])
            holder[name] = ""
    message = ParseDict(told, ProtoSpan())
    assert (message.name, message.kind) == ("charge", ProtoSpan.SPAN_KIND_CLIENT)
    assert message.start_time_unix_nano == span.start_time
    assert {one.key for one in message.attributes} >= {"order.id", "otel.scope.name", "otel.scope.version"}
    assert message.status.message == "card refused"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, {}),
        (-1, {"intValue": "-1"}),
        (2**63 - 1, {"intValue": "9223372036854775807"}),
        (2**63, {"stringValue": "9223372036854775808"}),
        ([-(2**64)], {"arrayValue": {"values": [{"stringValue": "-18446744073709551616"}]}}),
        (math.inf, {"doubleValue": "Infinity"}),
        (-math.inf, {"doubleValue": "-Infinity"}),
        (math.nan, {"doubleValue": "NaN"}),
        (b"\x00\xff", {"bytesValue": "AP8="}),
        ({"a": [1, None]}, {"kvlistValue": {"values": [
            {"key": "a", "value": {"arrayValue": {"values": [{"intValue": "1"}, {}]}}}]}}),
        ("nul \x00 and half \ud800", {"stringValue": "nul \\x00 and half \\ud800"}),
        (frozenset({1}), {"stringValue": "frozenset({1})"}),
    ],
)  # fmt: skip
def test_values_of_all_kinds_are_told_and_read(value: Any, told: dict[str, Any]) -> None:
    context = SpanContext(1, 2, is_remote=False)
    text = span_json(ReadableSpan("s", context, attributes={"a": value}, start_time=1, end_time=2))
    assert orjson.loads(text)["attributes"] == [{"key": "a", "value": told}]
    assert "a" in dict(recorded_span(text, Resource({})).attributes or {})


def test_a_long_value_is_told_in_parts() -> None:
    context = SpanContext(1, 2, is_remote=False)
    text = span_json(
        ReadableSpan("s", context, attributes={"sql": "x" * 1_000_000}, start_time=1, end_time=2)
    )
    assert len(text) < 10_000


def test_a_span_without_identity_is_refused() -> None:
    with pytest.raises(ValueError, match="no context"):
        span_json(ReadableSpan("s"))


@pytest.mark.parametrize("name", [None, 7])
def test_a_name_that_is_no_text_is_told_as_one(name: Any) -> None:
    context = SpanContext(1, 2, is_remote=False)
    text = span_json(ReadableSpan(name, context, events=[Event(name)], start_time=1, end_time=2))
    told = orjson.loads(text)
    assert (told["name"], told["events"][0]["name"]) == (str(name), str(name))


@pytest.mark.parametrize(("given", "told"), [(1_796_000_000.25, 1_796_000_000), (-5, 0), (2**70, 2**64 - 1)])
def test_times_that_a_handler_got_wrong_can_be_read(
    provider: TracerProvider, exporter: InMemorySpanExporter, given: Any, told: int
) -> None:
    span = provider.get_tracer("t").start_span("charge", start_time=given)
    span.add_event("paid", timestamp=given)
    span.end(given)
    text = span_json(exporter.get_finished_spans()[-1])
    proto = ParseDict(orjson.loads(text) | {"traceId": "", "spanId": ""}, ProtoSpan())
    assert (proto.start_time_unix_nano, proto.end_time_unix_nano) == (told, told)
    assert proto.events[0].time_unix_nano == told
    assert recorded_span(text, Resource({})).start_time == told
