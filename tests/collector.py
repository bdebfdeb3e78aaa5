"""A collector of spans over OTLP/HTTP, real enough for any exporter, that can be made to misbehave."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from attrs import field, frozen
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tests.programs import PATIENCE_SECONDS


@frozen(kw_only=True)
class Collected:
    """A span as it came."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: int
    start_ns: int
    end_ns: int
    status: int
    attributes: dict[str, Any]
    events: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    scope: str
    resource: dict[str, Any] = field(repr=False)


class Collector:
    """Answers with ``status``; ``hung`` keeps every request waiting until it is set; ``hangs_up`` answers nothing."""

    def __init__(self) -> None:
        self.spans: list[Collected] = []
        self.requests: list[dict[str, str]] = []
        """The headers of each."""
        self.status = 200
        self.hangs_up = False
        self.let_go = threading.Event()
        self.let_go.set()
        self._changed = threading.Condition()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def named(self, name: str) -> list[Collected]:
        return [span for span in self.spans if span.name == name]

    def wait_for(self, condition: Any) -> None:
        """Until ``condition(self)`` holds of what has come."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), PATIENCE_SECONDS), self.spans

    def take(self, headers: dict[str, str], body: bytes) -> int:
        with self._changed:
            self.requests.append(headers)
            self._changed.notify_all()
        self.let_go.wait(PATIENCE_SECONDS)
        with self._changed:
            if self.status == 200:
                self.spans += _collected(ExportTraceServiceRequest.FromString(body))
            self._changed.notify_all()
        return self.status

    def start(self, port: int = 0) -> None:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                assert self.headers["Content-Type"] == "application/x-protobuf"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = collector.take({name.lower(): value for name, value in self.headers.items()}, body)
                if collector.hangs_up:
                    self.close_connection = True
                    self.connection.close()
                    return
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.let_go.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


@contextmanager
def a_collector() -> Iterator[Collector]:
    collector = Collector()
    collector.start()
    try:
        yield collector
    finally:
        collector.stop()


def _collected(request: ExportTraceServiceRequest) -> Iterator[Collected]:
    for of_resource in request.resource_spans:
        resource = {one.key: _value(one.value) for one in of_resource.resource.attributes}
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield Collected(
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_span_id=span.parent_span_id.hex() or None,
                    name=span.name,
                    kind=span.kind,
                    start_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    status=span.status.code,
                    attributes={one.key: _value(one.value) for one in span.attributes},
                    events=tuple(event.name for event in span.events),
                    links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                    scope=of_scope.scope.name,
                    resource=resource,
                )


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return tuple(_value(one) for one in value.array_value.values)
    return getattr(value, kind)
