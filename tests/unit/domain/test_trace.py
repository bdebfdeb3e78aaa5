"""W3C Trace Context."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedora.domain.trace import TraceContext, is_sampled, new_traceparents, trace_id_of

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE_ID}-{SPAN_ID}-01", True),
        (f"00-{TRACE_ID}-{SPAN_ID}-00", False),
        (f"00-{TRACE_ID}-{SPAN_ID}-ff", True),
        (f" 00-{TRACE_ID}-{SPAN_ID}-02\t", False),
        (f"01-{TRACE_ID}-{SPAN_ID}-01-of the future", True),
        (f"cc-{TRACE_ID}-{SPAN_ID}-01", True),
    ],
)
def test_well_formed_header_is_read(header: str, sampled: bool) -> None:
    assert TraceContext.parse(header) == TraceContext(trace_id=TRACE_ID, span_id=SPAN_ID, sampled=sampled)


def test_a_trace_goes_on_from_span_to_span() -> None:
    caller = TraceContext(trace_id=TRACE_ID, span_id=SPAN_ID, sampled=False)
    assert caller.followed_by("1" * 16).traceparent == f"00-{TRACE_ID}-{'1' * 16}-00"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "garbage",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}",
        f"00-{TRACE_ID}-{SPAN_ID}-1",
        f"00-{TRACE_ID}-{SPAN_ID}-01-",
        f"00-{TRACE_ID}-{SPAN_ID}-01-more",
        f"00-{TRACE_ID}-{SPAN_ID}-01\n00",
        f"00-{TRACE_ID[1:]}-{SPAN_ID}-01",
        f"00-{TRACE_ID}g-{SPAN_ID}-01",
        f"01-{TRACE_ID}-{SPAN_ID}-01x",
    ],
)
def test_malformed_header_is_none(header: str) -> None:
    assert TraceContext.parse(header) is None


@given(st.integers(0, 2**192 - 1))
def test_new_trace_is_valid_and_comes_back_from_its_header(bits: int) -> None:
    trace = TraceContext.new(bits)
    assert TraceContext.parse(trace.traceparent) == trace


@pytest.mark.parametrize("sampled", [True, False])
def test_sampling_survives_the_way(sampled: bool) -> None:
    trace = TraceContext(trace_id=TRACE_ID, span_id=SPAN_ID, sampled=sampled)
    assert TraceContext.parse(trace.traceparent) == trace


@given(st.text())
def test_any_text_is_read_or_refused_without_a_fuss(text: str) -> None:
    trace = TraceContext.parse(text)
    assert trace is None or TraceContext.parse(trace.traceparent) == trace


def test_many_headers_are_made_from_as_many_bits() -> None:
    one, other = 7 << 64 | 8, 9 << 64 | 10
    assert new_traceparents(2, one << 192 | other) == [
        TraceContext.new(one).traceparent,
        TraceContext.new(other).traceparent,
    ]
    assert new_traceparents(0, 0) == []


def test_ids_are_never_zeros_alone() -> None:
    assert new_traceparents(1, 0) == [f"00-{1:032x}-{1:016x}-01"]


def test_stored_header_must_be_valid() -> None:
    trace = TraceContext(trace_id=TRACE_ID, span_id=SPAN_ID)
    assert TraceContext.stored(trace.traceparent) == trace
    unsampled = TraceContext(trace_id=TRACE_ID, span_id=SPAN_ID, sampled=False)
    assert TraceContext.stored(unsampled.traceparent) == unsampled
    with pytest.raises(ValueError, match="no valid traceparent: 'spoilt'"):
        TraceContext.stored("spoilt")


def test_the_trace_of_a_header() -> None:
    assert trace_id_of(TraceContext(trace_id=TRACE_ID, span_id=SPAN_ID).traceparent) == TRACE_ID


@pytest.mark.parametrize("sampled", [True, False])
def test_whether_a_header_is_sampled(sampled: bool) -> None:
    trace = TraceContext(trace_id=TRACE_ID, span_id=SPAN_ID, sampled=sampled)
    assert is_sampled(trace.traceparent) is sampled
