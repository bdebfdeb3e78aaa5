import attrs
import pytest

from schedora.application.telemetry.request_span import ServedRequest, request_span
from schedora.application.telemetry.span import SpanKind, SpanStatus
from tests.builders import TRACE

SERVED = ServedRequest(TRACE, "00f067aa0ba902b7", "POST", "/api/v1/jobs", 201, 1_000, 3_000, 1, 2_000)


def test_a_request_is_a_server_span_below_its_caller() -> None:
    span = request_span(SERVED)
    assert (span.trace_id, span.span_id, span.parent_span_id) == (
        TRACE.trace_id,
        TRACE.span_id,
        "00f067aa0ba902b7",
    )
    assert (span.name, span.kind) == ("POST /api/v1/jobs", SpanKind.SERVER)
    assert (span.start_ns, span.end_ns, span.status) == (1_000, 3_000, SpanStatus.UNSET)
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/api/v1/jobs",
        "url.path": "/api/v1/jobs",
        "http.response.status_code": 201,
        "messaging.batch.message_count": 1,
    }


@pytest.mark.parametrize(
    ("stored_ns", "start_ns", "end_ns"),
    [
        (1_000, 1_000, 3_000),
        (999, 999, 2_999),
        (3_001, 1_001, 3_001),
        (3_000, 1_000, 3_000),
        (500, 500, 2_500),
        (9_000, 7_000, 9_000),
    ],
)
def test_it_is_moved_as_little_as_it_takes_to_have_stored_its_jobs(
    stored_ns: int, start_ns: int, end_ns: int
) -> None:
    span = request_span(attrs.evolve(SERVED, stored_ns=stored_ns))
    assert (span.start_ns, span.end_ns) == (start_ns, end_ns)


@pytest.mark.parametrize("sampled", [True, False])
def test_it_is_sampled_as_its_trace_is(*, sampled: bool) -> None:
    assert request_span(attrs.evolve(SERVED, trace=attrs.evolve(TRACE, sampled=sampled))).sampled is sampled


def test_an_answer_that_failed_is_an_error() -> None:
    span = request_span(attrs.evolve(SERVED, status=500))
    assert (span.status, span.attributes["error.type"]) == (SpanStatus.ERROR, "500")
