import attrs

from schedora.application.telemetry.otlp import resource_spans, span_document
from schedora.application.telemetry.span import Span, SpanEvent, SpanKind, SpanLink, SpanStatus

WHOLE = Span(
    trace_id="0af7651916cd43dd8448eb211c80319c",
    span_id="b7ad6b7169203331",
    parent_span_id="00f067aa0ba902b7",
    name="process mail",
    kind=SpanKind.CONSUMER,
    start_ns=1_893_499_200_000_001_000,
    end_ns=1_893_499_201_000_001_000,
    attributes={"text": "a", "flag": True, "count": 3, "share": 0.5, "ids": ("a", "b")},
    events=(SpanEvent(at_ns=7, name="exception", attributes={"exception.type": "Oops"}),),
    links=(SpanLink(trace_id="1" * 32, span_id="2" * 16),),
    links_dropped=7,
    status=SpanStatus.ERROR,
    status_message="it failed",
)


def test_a_span_as_otlp_has_it() -> None:
    assert span_document(WHOLE, now_ns=0) == {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "b7ad6b7169203331",
        "parentSpanId": "00f067aa0ba902b7",
        "name": "process mail",
        "kind": 5,
        "startTimeUnixNano": "1893499200000001000",
        "endTimeUnixNano": "1893499201000001000",
        "attributes": [
            {"key": "text", "value": {"stringValue": "a"}},
            {"key": "flag", "value": {"boolValue": True}},
            {"key": "count", "value": {"intValue": "3"}},
            {"key": "share", "value": {"doubleValue": 0.5}},
            {"key": "ids", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"stringValue": "b"}]}}},
        ],
        "events": [
            {
                "timeUnixNano": "7",
                "name": "exception",
                "attributes": [{"key": "exception.type", "value": {"stringValue": "Oops"}}],
            }
        ],
        "links": [{"traceId": "1" * 32, "spanId": "2" * 16, "attributes": []}],
        "droppedLinksCount": 7,
        "status": {"code": 2, "message": "it failed"},
        "flags": 1,
    }


def test_what_has_nothing_to_tell_is_left_out() -> None:
    bare = attrs.evolve(
        WHOLE,
        parent_span_id=None,
        events=(),
        links=(),
        links_dropped=0,
        attributes={},
        status=SpanStatus.UNSET,
        sampled=False,
    )
    assert span_document(bare, now_ns=0).keys() == {
        "traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano", "attributes", "flags",
    }  # fmt: skip
    assert span_document(bare, now_ns=0)["flags"] == 0


def test_what_goes_on_ends_now_and_says_that_it_is_open() -> None:
    going_on = attrs.evolve(WHOLE, end_ns=None, attributes={})
    document = span_document(going_on, now_ns=WHOLE.start_ns + 5)
    assert document["endTimeUnixNano"] == str(WHOLE.start_ns + 5)
    assert document["attributes"] == [{"key": "schedora.span.open", "value": {"boolValue": True}}]
    assert span_document(going_on, now_ns=0)["endTimeUnixNano"] == str(WHOLE.start_ns)


def test_scopes_without_spans_are_left_out() -> None:
    (made,) = resource_spans({"service.name": "schedora"}, {"schedora": [1], "empty": []}, "0.1.0")
    assert made["resource"]["attributes"] == [{"key": "service.name", "value": {"stringValue": "schedora"}}]
    assert made["scopeSpans"] == [{"scope": {"name": "schedora", "version": "0.1.0"}, "spans": [1]}]
