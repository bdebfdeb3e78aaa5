"""Traces as they are shown: in JSON as OTLP has it, so that ``data`` can be posted to a collector as it is."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

import schedora
from schedora.application.queries.trace import Traced
from schedora.application.telemetry.otlp import resource_spans, span_document
from schedora.application.telemetry.span import nanoseconds
from schedora.entrypoints.api.answers import embedded
from schedora.entrypoints.api.schemas.fields import Cursor, QueryString
from schedora.entrypoints.settings import Settings

JOBS_DEFAULT, JOBS_MAX = 100, 500


class WorkflowTraceQuery(QueryString):
    limit: Annotated[int, Field(ge=1, le=JOBS_MAX, description="The spans of so many jobs")] = JOBS_DEFAULT
    cursor: Cursor = None


class AnyValueView(TypedDict):
    """One of these, or none for what has no value."""

    stringValue: NotRequired[str]
    boolValue: NotRequired[bool]
    intValue: NotRequired[str]
    doubleValue: NotRequired[float | Literal["NaN", "Infinity", "-Infinity"]]
    bytesValue: NotRequired[Annotated[str, Field(description="In base64")]]
    arrayValue: NotRequired["ArrayValueView"]
    kvlistValue: NotRequired["KeyValueListView"]


class ArrayValueView(TypedDict):
    values: list[AnyValueView]


class KeyValueListView(TypedDict):
    values: list["KeyValueView"]


class KeyValueView(TypedDict):
    key: str
    value: AnyValueView


class SpanEventView(TypedDict):
    timeUnixNano: str
    name: str
    attributes: list[KeyValueView]


class SpanLinkView(TypedDict):
    traceId: str
    spanId: str
    attributes: list[KeyValueView]


class SpanStatusView(TypedDict):
    """``code``: 0 unset, 1 ok, 2 error."""

    code: NotRequired[int]
    message: NotRequired[str]


class SpanView(TypedDict):
    """``kind``: 1 internal, 2 server, 3 client, 4 producer, 5 consumer. A span that goes on ends at the moment of the
    answer, and has the attribute ``schedora.span.open``.
    """

    traceId: str
    spanId: str
    parentSpanId: NotRequired[str]
    name: str
    kind: int
    startTimeUnixNano: str
    endTimeUnixNano: str
    attributes: NotRequired[list[KeyValueView]]
    events: NotRequired[list[SpanEventView]]
    links: NotRequired[list[SpanLinkView]]
    droppedAttributesCount: NotRequired[int]
    droppedEventsCount: NotRequired[int]
    droppedLinksCount: NotRequired[int]
    status: NotRequired[SpanStatusView]
    flags: NotRequired[int]


class ScopeView(TypedDict):
    name: str
    version: NotRequired[str]


class ScopeSpansView(TypedDict):
    scope: ScopeView
    spans: list[SpanView]


class ResourceView(TypedDict):
    attributes: list[KeyValueView]


class ResourceSpansView(TypedDict):
    resource: ResourceView
    scopeSpans: list[ScopeSpansView]


class TraceView(TypedDict):
    """``trace_id``: of the job, or of the workflow itself, whose jobs may have others."""

    trace_id: str
    resourceSpans: list[ResourceSpansView]


class TracePage(TypedDict):
    """``next_cursor`` asks for the spans of the jobs that come next; null at the end."""

    data: TraceView
    next_cursor: str | None


def trace_view(traced: Traced, settings: Settings) -> TraceView:
    now_ns = nanoseconds(traced.at)
    scopes = {
        "schedora": [span_document(span, now_ns=now_ns) for span in traced.spans],
        "schedora.handler": [embedded(text) for text in traced.left],
    }
    resource = {"service.version": settings.app_version, **settings.resource}
    made: Any = resource_spans(resource, scopes, schedora.__version__)
    return {"trace_id": traced.trace_id, "resourceSpans": made}
