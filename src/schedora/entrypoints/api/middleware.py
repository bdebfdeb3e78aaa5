"""The outermost layer: gives each request its identity, counts and times it, tells it to the log, and answers
what nothing else has answered.
"""

import time
from collections.abc import Callable, Iterable

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schedora.adapters.telemetry.http_metrics import HttpMetrics
from schedora.application.log import REQUESTS, Logger
from schedora.application.ports.randomness import Randomness
from schedora.application.request_scope import current_request
from schedora.application.telemetry.request_span import ServedRequest
from schedora.application.telemetry.sampling import Sampler
from schedora.application.telemetry.span import nanoseconds
from schedora.domain.trace import TraceContext
from schedora.entrypoints.api.body import give_back
from schedora.entrypoints.api.errors import INTERNAL
from schedora.entrypoints.api.event_streams import CONNECTION
from schedora.entrypoints.api.request_context import SANE, RequestContext, stored_by

CORRELATION_HEADERS = (b"x-correlation-id", b"x-request-id")
TRACEPARENT = b"traceparent"
TELLING = frozenset({*CORRELATION_HEADERS, TRACEPARENT})
CLIENT_LEFT = 499
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNROUTED = "none"
TRACE_BITS, CORRELATION_BITS = 192, 128

log = Logger("schedora.api")
requests = Logger(REQUESTS)


class RequestMiddleware:
    """Pure ASGI. HEAD is answered wherever GET is, by the same route."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        randomness: Randomness,
        metrics: HttpMetrics,
        sampler: Sampler,
        tell: Callable[..., None] | None = None,
        on_stored: Callable[[ServedRequest], None] | None = None,
    ) -> None:
        """``tell`` writes the line of a request: by default like any other line. ``on_stored`` hears of each that is
        sampled and has stored jobs.
        """
        self._app = app
        self._randomness = randomness
        self._metrics = metrics
        self._sampler = sampler
        self._tell_of = tell or requests.info
        self._on_stored = on_stored

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        if method == "HEAD":
            # On a copy: the server looks at its own to know that an answer to HEAD has no body.
            scope = {**scope, "method": "GET"}
        visit = self._visit(scope, with_body=method != "HEAD")
        visit.enter(scope)
        entered = current_request.set(visit)
        started_seconds = time.perf_counter()
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                marks = (
                    (b"x-correlation-id", visit.correlation_id),
                    (b"traceparent", visit.trace.traceparent),
                )
                message["headers"] = [
                    *message["headers"], *((name, mark.encode("latin-1")) for name, mark in marks)
                ]  # fmt: skip
            elif method == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        except ClientDisconnect:
            connection = scope.get("state", {}).get(CONNECTION)
            status = status or (connection and connection.refused_status) or CLIENT_LEFT
        except Exception:
            log.exception(
                "request failed",
                method=method,
                correlation_id=visit.correlation_id,
                trace_id=visit.trace.trace_id,
            )
            if status:
                raise
            await INTERNAL.response(visit.trace.trace_id)(scope, receive, send_marked)
        finally:
            give_back(scope)
            self._tell(scope, method, status, time.perf_counter() - started_seconds, visit)
            current_request.reset(entered)
            visit.leave(scope)

    def _visit(self, scope: Scope, *, with_body: bool) -> RequestContext:
        headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
        # Of several, the first counts.
        told = {name: value.decode("latin-1") for name, value in reversed([*headers]) if name in TELLING}
        # Drawn at once: each draw is a call to the operating system.
        bits = self._randomness.bits(TRACE_BITS + CORRELATION_BITS)
        trace = self._sampler.begun(TraceContext.new(bits >> CORRELATION_BITS))
        parent_span_id = None
        correlation_id = f"{bits % (1 << CORRELATION_BITS):032x}"
        if told:
            if (caller := TraceContext.parse(told.get(TRACEPARENT, ""))) is not None:
                parent_span_id = caller.span_id
                trace = self._sampler.followed(caller.followed_by(trace.span_id))
            given = next((told[name] for name in CORRELATION_HEADERS if name in told), "")
            if SANE.fullmatch(given):
                correlation_id = given
        return RequestContext(
            trace=trace,
            parent_span_id=parent_span_id,
            correlation_id=correlation_id,
            with_body=with_body,
            scope=scope,
        )

    def _tell(
        self, scope: Scope, method: str, status: int, duration_seconds: float, visit: RequestContext
    ) -> None:
        route = getattr(scope.get("route"), "path", UNROUTED)
        known_method = method if method in METHODS else "OTHER"
        self._metrics.observe(known_method, route, status, duration_seconds)
        if self._on_stored is not None and visit.trace.sampled and (stored := stored_by(scope)) is not None:
            end_ns = time.time_ns()
            self._on_stored(
                ServedRequest(
                    visit.trace,
                    visit.parent_span_id,
                    known_method,
                    route,
                    status,
                    end_ns - int(duration_seconds * 1e9),
                    end_ns,
                    stored.jobs,
                    nanoseconds(stored.at),
                )
            )
        self._tell_of(
            "request",
            method=known_method,
            route=route,
            status=status,
            duration_ms=round(duration_seconds * 1000, 3),
            **visit.subject,
            correlation_id=visit.correlation_id,
            trace_id=visit.trace.trace_id,
        )
