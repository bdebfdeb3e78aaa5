"""A trace as clients see it, read from JSON as OTLP has it."""

from base64 import b64decode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from attrs import field, frozen

from schedora.application.encoding import decode_json
from schedora.application.telemetry.otlp import OPEN
from schedora.application.telemetry.span import SpanKind, SpanStatus

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NS_MAX: Final = 2**64 - 1


@frozen(kw_only=True)
class SpanEventView:
    at: datetime
    name: str
    attributes: Mapping[str, Any]


@frozen(kw_only=True)
class SpanLinkView:
    trace_id: str
    span_id: str
    attributes: Mapping[str, Any]


@frozen(kw_only=True)
class SpanView:
    """``end`` is that of the look at it where the span is ``open``."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: SpanKind
    scope: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    events: tuple[SpanEventView, ...]
    links: tuple[SpanLinkView, ...]
    links_dropped: int = 0
    """How many more there would be."""
    status: SpanStatus
    status_message: str

    @property
    def open(self) -> bool:
        """It goes on."""
        return self.attributes.get(OPEN) is True

    @property
    def start(self) -> datetime:
        return _instant(self.start_ns)

    @property
    def end(self) -> datetime:
        return _instant(self.end_ns)

    @property
    def duration(self) -> timedelta:
        return timedelta(microseconds=(self.end_ns - self.start_ns) / 1_000)


@frozen(kw_only=True)
class TraceView:
    """``document`` is what the API said: it can be posted to any collector's ``/v1/traces``. Of a workflow,
    ``next_cursor`` asks for the spans of the jobs that come next.
    """

    trace_id: str
    spans: tuple[SpanView, ...]
    document: Mapping[str, Any] = field(repr=False)
    next_cursor: str | None = None

    def __iter__(self) -> Iterator[SpanView]:
        return iter(self.spans)

    def __len__(self) -> int:
        return len(self.spans)


def trace(body: bytes) -> TraceView:
    """Reads an answer. What others have left in it and is not as it should be raises ``KeyError`` or the like."""
    answer = decode_json(body)
    document = answer["data"]
    return TraceView(
        trace_id=document["trace_id"],
        spans=tuple(
            _span(span, scoped["scope"]["name"])
            for resource in document["resourceSpans"]
            for scoped in resource["scopeSpans"]
            for span in scoped["spans"]
        ),
        document=document,
        next_cursor=answer.get("next_cursor"),
    )


def _span(span: Mapping[str, Any], scope: str) -> SpanView:
    status = span.get("status", {})
    return SpanView(
        trace_id=_text(span["traceId"]),
        span_id=_text(span["spanId"]),
        parent_span_id=_text(span.get("parentSpanId", "")) or None,
        name=_text(span["name"]),
        kind=SpanKind(span.get("kind", SpanKind.INTERNAL)),
        scope=scope,
        start_ns=_ns(span["startTimeUnixNano"]),
        end_ns=_ns(span["endTimeUnixNano"]),
        attributes=_attributes(span),
        events=tuple(
            SpanEventView(
                at=_instant(_ns(event["timeUnixNano"])),
                name=_text(event["name"]),
                attributes=_attributes(event),
            )
            for event in span.get("events", ())
        ),
        links=tuple(
            SpanLinkView(trace_id=link["traceId"], span_id=link["spanId"], attributes=_attributes(link))
            for link in span.get("links", ())
        ),
        links_dropped=int(span.get("droppedLinksCount", 0)),
        status=SpanStatus(status.get("code", SpanStatus.UNSET)),
        status_message=status.get("message", ""),
    )


def _attributes(owner: Mapping[str, Any]) -> dict[str, Any]:
    return {one["key"]: _value(one["value"]) for one in owner.get("attributes", ())}


def _value(value: Mapping[str, Any]) -> Any:
    (kind, told), *_ = (*value.items(), (None, None))
    match kind:
        case "stringValue":
            return _text(told)
        case "intValue":
            return int(told)
        case "doubleValue":
            return float(told)
        case "bytesValue":
            return b64decode(told)
        case "arrayValue":
            return [_value(one) for one in told.get("values", ())]
        case "kvlistValue":
            return _attributes({"attributes": told.get("values", ())})
    return told


def _text(told: object) -> str:
    if not isinstance(told, str):
        raise TypeError(f"{told!r} is no text")
    return told


def _ns(told: str | int) -> int:
    """Raises ``ValueError`` for what OTLP has no room for."""
    ns = int(told)
    if not 0 <= ns <= _NS_MAX:
        raise ValueError(f"{ns} is no time in nanoseconds")
    return ns


def _instant(ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ns // 1_000)
