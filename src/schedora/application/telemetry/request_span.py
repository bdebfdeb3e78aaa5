"""The span of a request that submitted jobs: the root of their traces, or a child of its caller's."""

from typing import Final

from schedora.application.telemetry.span import AttributeValue, Span, SpanKind, SpanStatus
from schedora.domain.trace import TraceContext
from schedora.domain.values import frozen

_SERVER_ERROR: Final = 500


@frozen
class ServedRequest:
    """``trace`` names the request's own span, ``start_ns`` and ``end_ns`` are by the clock of the machine that served
    it. ``stored_ns`` is when it stored its ``jobs``, by the store's.
    """

    trace: TraceContext
    parent_span_id: str | None
    method: str
    route: str
    status: int
    start_ns: int
    end_ns: int
    jobs: int
    stored_ns: int


def request_span(served: ServedRequest) -> Span:
    """In the store's time: moved as little as it takes for its jobs to have been stored while it was served."""
    early, late = served.start_ns - served.stored_ns, served.stored_ns - served.end_ns
    shift = -early if early > 0 else max(0, late)
    told: dict[str, AttributeValue] = {
        "http.request.method": served.method,
        "http.route": served.route,
        "url.path": served.route,
        "http.response.status_code": served.status,
        "messaging.batch.message_count": served.jobs,
    }
    failed = served.status >= _SERVER_ERROR
    return Span(
        trace_id=served.trace.trace_id,
        span_id=served.trace.span_id,
        parent_span_id=served.parent_span_id,
        name=f"{served.method} {served.route}",
        kind=SpanKind.SERVER,
        start_ns=served.start_ns + shift,
        end_ns=served.end_ns + shift,
        attributes={**told, "error.type": str(served.status)} if failed else told,
        status=SpanStatus.ERROR if failed else SpanStatus.UNSET,
        sampled=served.trace.sampled,
    )
