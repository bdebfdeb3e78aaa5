import math
from typing import Any

import orjson
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext
from pydantic import TypeAdapter

from schedora.adapters.telemetry.otlp_json import span_json
from schedora.application.telemetry.otlp import span_document
from schedora.entrypoints.api.schemas.traces import SpanView
from tests.unit.application.telemetry.test_otlp import WHOLE

SPAN = TypeAdapter(SpanView)


def told(value: Any) -> dict[str, Any]:
    context = SpanContext(1, 2, is_remote=False)
    span = ReadableSpan("s", context, attributes={"a": value}, start_time=1, end_time=2)
    document: dict[str, Any] = orjson.loads(span_json(span))
    return document


@pytest.mark.parametrize(
    "value",
    [None, True, 7, 0.5, math.inf, math.nan, "a", b"\x00\xff", ["a", [1, None]], {"a": {"b": [b"c"]}}],
    ids=repr,
)
def test_what_is_documented_is_all_that_handlers_can_leave(value: Any) -> None:
    """What is not, is lost on the way."""
    assert SPAN.validate_python(told(value)) == told(value)


def test_what_is_documented_is_all_that_is_told() -> None:
    whole = span_document(WHOLE, now_ns=0)
    assert SPAN.validate_python(whole) == whole
    dropped = {"droppedAttributesCount": 1, "droppedEventsCount": 2, "droppedLinksCount": 3}
    assert SPAN.validate_python(told(1) | dropped) == told(1) | dropped
