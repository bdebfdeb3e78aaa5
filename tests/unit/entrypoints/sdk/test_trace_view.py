from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from schedora.application.telemetry.otlp import resource_spans, span_document
from schedora.application.telemetry.span import SpanKind, SpanStatus
from schedora.entrypoints.sdk.trace_view import TraceView, trace
from tests.unit.application.telemetry.test_otlp import WHOLE


def read(*spans: dict[str, Any], **more: Any) -> TraceView:
    document = {"trace_id": "t", "resourceSpans": resource_spans({}, {"schedora": spans}, "1")}
    return trace(orjson.dumps({"data": document, **more}))


def test_a_span_is_read_as_it_was_written() -> None:
    view = read(span_document(WHOLE, now_ns=0))
    (span,) = view
    assert (view.trace_id, len(view), view.next_cursor) == ("t", 1, None)
    assert (span.trace_id, span.span_id, span.parent_span_id) == (
        WHOLE.trace_id,
        WHOLE.span_id,
        WHOLE.parent_span_id,
    )
    assert (span.name, span.kind, span.scope, span.open) == (
        "process mail",
        SpanKind.CONSUMER,
        "schedora",
        False,
    )
    assert span.attributes == {"text": "a", "flag": True, "count": 3, "share": 0.5, "ids": ["a", "b"]}
    assert (span.start, span.duration) == (datetime(2030, 1, 1, 12, 0, 0, 1, UTC), timedelta(seconds=1))
    assert span.end == span.start + timedelta(seconds=1)
    (event,) = span.events
    assert (event.name, event.attributes) == ("exception", {"exception.type": "Oops"})
    (link,) = span.links
    assert (link.trace_id, link.span_id) == ("1" * 32, "2" * 16)
    assert span.links_dropped == 7
    assert (span.status, span.status_message) == (SpanStatus.ERROR, "it failed")


def test_a_span_that_others_wrote_may_lack_what_can_be_left_out() -> None:
    bare = {
        "traceId": "a",
        "spanId": "b",
        "parentSpanId": "",
        "name": "n",
        "startTimeUnixNano": 1,
        "endTimeUnixNano": 2,
    }
    bare["attributes"] = [
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "a", "value": {"intValue": "1"}}]}}},
        {"key": "none", "value": {}},
        {"key": "large", "value": {"doubleValue": "Infinity"}},
        {"key": "bytes", "value": {"bytesValue": "AP8="}},
    ]
    (span,) = read(bare, next_cursor="c")
    assert (span.parent_span_id, span.kind, span.status) == (None, SpanKind.INTERNAL, SpanStatus.UNSET)
    assert span.attributes == {"map": {"a": 1}, "none": None, "large": float("inf"), "bytes": b"\x00\xff"}


def test_what_is_no_trace_is_refused() -> None:
    with pytest.raises(KeyError):
        read({"name": "n"})


@pytest.mark.parametrize("ns", ["1" + "0" * 30, "-1", str(2**64), "soon"])
def test_what_is_no_time_is_refused(ns: str) -> None:
    span = span_document(WHOLE, now_ns=0)
    for broken in (
        {**span, "startTimeUnixNano": ns},
        {**span, "endTimeUnixNano": ns},
        {**span, "events": [{"name": "exception", "timeUnixNano": ns}]},
    ):
        with pytest.raises(ValueError, match=r"time in nanoseconds|invalid literal"):
            read(broken)


@pytest.mark.parametrize("name", ["traceId", "spanId", "parentSpanId", "name"])
def test_what_is_no_text_is_refused(name: str) -> None:
    span = span_document(WHOLE, now_ns=0)
    with pytest.raises(TypeError, match="is no text"):
        read({**span, name: {"a": 1}})
    with pytest.raises(TypeError, match="is no text"):
        read({**span, "attributes": [{"key": "a", "value": {"stringValue": [None]}}]})
