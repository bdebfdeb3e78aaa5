"""Recorded spans as JSON, in the encoding of OTLP, and back.

A span does not tell its instrumentation scope there: the attributes do, under the names that OpenTelemetry has for
where there is no other place for that.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, format_span_id, format_trace_id
from opentelemetry.trace.status import Status, StatusCode

from schedora.application.pipeline.execute import storable
from schedora.domain.ids import JsonText

SCOPE_NAME, SCOPE_VERSION = "otel.scope.name", "otel.scope.version"
_INT_BITS = 64
"""With the sign. OTLP has no larger ones: with one of them a collector refuses all spans that came with it."""
_NS_MAX = 2**64 - 1
_KINDS = {
    SpanKind.INTERNAL: 1,
    SpanKind.SERVER: 2,
    SpanKind.CLIENT: 3,
    SpanKind.PRODUCER: 4,
    SpanKind.CONSUMER: 5,
}
_KINDS_BY_NUMBER = {number: kind for kind, number in _KINDS.items()}


def span_json(span: ReadableSpan) -> JsonText:
    context = span.get_span_context()
    if context is None:
        raise ValueError("a recorded span has no context")
    scope = span.instrumentation_scope
    attributes = dict(span.attributes or {})
    if scope is not None and scope.name:
        attributes[SCOPE_NAME] = scope.name
        if scope.version:
            attributes[SCOPE_VERSION] = scope.version
    told: dict[str, Any] = {
        "traceId": format_trace_id(context.trace_id),
        "spanId": format_span_id(context.span_id),
        "name": storable(str(span.name)),
        "kind": _KINDS[span.kind],
        "startTimeUnixNano": _time(span.start_time),
        "endTimeUnixNano": _time(span.end_time),
        "attributes": _attributes(attributes),
        "flags": int(context.trace_flags),
    }
    if span.parent is not None:
        told["parentSpanId"] = format_span_id(span.parent.span_id)
    if span.events:
        told["events"] = [
            {
                "timeUnixNano": _time(event.timestamp),
                "name": storable(str(event.name)),
                "attributes": _attributes(event.attributes),
            }
            for event in span.events
        ]
    if span.links:
        told["links"] = [
            {
                "traceId": format_trace_id(link.context.trace_id),
                "spanId": format_span_id(link.context.span_id),
                "attributes": _attributes(link.attributes),
            }
            for link in span.links
        ]
    dropped = {
        "droppedAttributesCount": span.dropped_attributes,
        "droppedEventsCount": span.dropped_events,
        "droppedLinksCount": span.dropped_links,
    }
    told |= {name: count for name, count in dropped.items() if count}
    if span.status.status_code is not StatusCode.UNSET:
        told["status"] = {"code": span.status.status_code.value}
        if span.status.description:
            told["status"]["message"] = storable(span.status.description)
    return JsonText(orjson.dumps(told).decode())


def _time(ns: float | None) -> str:
    """As OTLP has room for it, whatever a handler gave for its time: often that is what ``time.time()`` says."""
    return str(min(max(int(ns or 0), 0), _NS_MAX))


def recorded_span(text: JsonText, resource: Resource) -> ReadableSpan:
    """What ``span_json`` wrote, as a span of ``resource``."""
    told = orjson.loads(text)
    trace_id = int(told["traceId"], 16)
    flags = TraceFlags(told.get("flags", 0) & 0xFF)
    attributes = _mapping(told.get("attributes", ()))
    scope = InstrumentationScope(
        str(attributes.pop(SCOPE_NAME, "")), str(attributes.pop(SCOPE_VERSION, "")) or None
    )
    parent = told.get("parentSpanId")
    status = told.get("status", {})
    return ReadableSpan(
        name=told["name"],
        context=SpanContext(trace_id, int(told["spanId"], 16), is_remote=False, trace_flags=flags),
        parent=None
        if not parent
        else SpanContext(trace_id, int(parent, 16), is_remote=False, trace_flags=flags),
        resource=resource,
        attributes=attributes,
        events=[
            Event(event["name"], _mapping(event.get("attributes", ())), int(event["timeUnixNano"]))
            for event in told.get("events", ())
        ],
        links=[
            Link(
                SpanContext(int(link["traceId"], 16), int(link["spanId"], 16), is_remote=False),
                _mapping(link.get("attributes", ())),
            )
            for link in told.get("links", ())
        ],
        kind=_KINDS_BY_NUMBER[told["kind"]],
        status=Status(StatusCode(status.get("code", 0)), status.get("message")),
        start_time=int(told["startTimeUnixNano"]),
        end_time=int(told["endTimeUnixNano"]),
        instrumentation_scope=scope,
    )


def _attributes(attributes: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return [{"key": storable(key), "value": _value(value)} for key, value in (attributes or {}).items()]


def _value(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case int() if value.bit_length() < _INT_BITS:
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value if math.isfinite(value) else _WORDS.get(value, "NaN")}
        case str():
            return {"stringValue": storable(value)}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode()}
        case Mapping():
            return {"kvlistValue": {"values": _attributes(value)}}
        case Sequence():
            return {"arrayValue": {"values": [_value(one) for one in value]}}
        case _:
            return {"stringValue": storable(str(value))}


_WORDS = {math.inf: "Infinity", -math.inf: "-Infinity"}


def _mapping(attributes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {one["key"]: _read(one["value"]) for one in attributes}


def _read(value: Mapping[str, Any]) -> Any:
    if not value:
        return None
    ((kind, told),) = value.items()
    match kind:
        case "intValue":
            return int(told)
        case "doubleValue":
            return float(told)
        case "bytesValue":
            return base64.b64decode(told)
        case "arrayValue":
            return tuple(_read(one) for one in told.get("values", ()))
        case "kvlistValue":
            return _mapping(told.get("values", ()))
        case _:
            return told
