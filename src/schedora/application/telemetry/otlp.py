"""Spans as OTLP has them in JSON: ids in hex, names in camel case, big numbers as strings. What comes of it can be
posted to any collector's ``/v1/traces`` as it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from schedora.application.telemetry.span import (
    Attributes,
    AttributeValue,
    Span,
    SpanEvent,
    SpanLink,
    SpanStatus,
)

OPEN: Final = "schedora.span.open"
"""Of a span that goes on: its end is the moment in which it was looked at."""

_SAMPLED: Final = 1


def span_document(span: Span, *, now_ns: int) -> dict[str, Any]:
    """``now_ns`` is the end of what goes on."""
    attributes = span.attributes if span.end_ns is not None else {**span.attributes, OPEN: True}
    end_ns = max(now_ns, span.start_ns) if span.end_ns is None else span.end_ns
    document: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": int(span.kind),
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(end_ns),
        "attributes": key_values(attributes),
        "flags": _SAMPLED if span.sampled else 0,
    }
    if span.parent_span_id is not None:
        document["parentSpanId"] = span.parent_span_id
    if span.events:
        document["events"] = [_event(event) for event in span.events]
    if span.links:
        document["links"] = [_link(link) for link in span.links]
    if span.links_dropped:
        document["droppedLinksCount"] = span.links_dropped
    if span.status is not SpanStatus.UNSET:
        document["status"] = {"code": int(span.status)} | (
            {"message": span.status_message} if span.status_message else {}
        )
    return document


def resource_spans(
    resource: Attributes, scopes: Mapping[str, Sequence[object]], version: str
) -> list[dict[str, Any]]:
    """Spans by the scope that made them, all of one resource."""
    return [
        {
            "resource": {"attributes": key_values(resource)},
            "scopeSpans": [
                {"scope": {"name": scope, "version": version}, "spans": list(spans)}
                for scope, spans in scopes.items()
                if spans
            ],
        }
    ]


def key_values(attributes: Attributes) -> list[dict[str, Any]]:
    return [{"key": key, "value": _any_value(value)} for key, value in attributes.items()]


def _any_value(value: AttributeValue) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": str(value)}
        case _:
            return {"arrayValue": {"values": [_any_value(one) for one in value]}}


def _event(event: SpanEvent) -> dict[str, Any]:
    return {
        "timeUnixNano": str(event.at_ns),
        "name": event.name,
        "attributes": key_values(event.attributes),
    }


def _link(link: SpanLink) -> dict[str, Any]:
    return {"traceId": link.trace_id, "spanId": link.span_id, "attributes": key_values(link.attributes)}
