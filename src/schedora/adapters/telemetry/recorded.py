"""Derived spans in the shape in which OpenTelemetry's exporters take them."""

import time

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, TraceFlags
from opentelemetry.trace import SpanKind as RecordedKind
from opentelemetry.trace.status import Status, StatusCode

from schedora.application.telemetry.span import Span, SpanKind, SpanStatus

_KINDS = {kind: RecordedKind[kind.name] for kind in SpanKind}
_STATUSES = {status: StatusCode(status.value) for status in SpanStatus}


def as_recorded(span: Span, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    """``span`` as one that ``scope`` of ``resource`` has made."""
    flags = TraceFlags(TraceFlags.SAMPLED if span.sampled else TraceFlags.DEFAULT)
    trace_id = int(span.trace_id, 16)
    parent = span.parent_span_id
    return ReadableSpan(
        name=span.name,
        context=SpanContext(trace_id, int(span.span_id, 16), is_remote=False, trace_flags=flags),
        parent=None
        if parent is None
        else SpanContext(trace_id, int(parent, 16), is_remote=True, trace_flags=flags),
        resource=resource,
        attributes=dict(span.attributes),
        events=[Event(event.name, dict(event.attributes), event.at_ns) for event in span.events],
        links=[
            Link(
                SpanContext(int(link.trace_id, 16), int(link.span_id, 16), is_remote=True),
                dict(link.attributes),
            )
            for link in span.links
        ],
        kind=_KINDS[span.kind],
        status=Status(_STATUSES[span.status], span.status_message or None),
        start_time=span.start_ns,
        end_time=span.end_ns if span.end_ns is not None else time.time_ns(),
        instrumentation_scope=scope,
    )
