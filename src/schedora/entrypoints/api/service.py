"""The API as a service: uvicorn on a socket that is bound before anything else starts."""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Iterator

import uvicorn

from schedora.adapters.telemetry.log_lines import LogLines
from schedora.adapters.telemetry.logs import LogWriter
from schedora.application.log import REQUESTS
from schedora.application.request_keeper import RequestKeeper
from schedora.domain.redaction import redaction_of
from schedora.domain.request_span import ServedRequest
from schedora.entrypoints.api.app import create_app
from schedora.entrypoints.api.event_streams import EventStreams
from schedora.entrypoints.api.outage import Outage
from schedora.entrypoints.api.protocol import PROTOCOL
from schedora.entrypoints.container.settings import LogFormat, Settings
from schedora.entrypoints.system import System

BACKLOG = 2_048
GRACE_SECONDS = 5
"""How long requests under way may take once the service was asked to stop."""


class PortInUse(Exception):
    """The address can't be listened on. The message says which and why."""


class _Server(uvicorn.Server):
    """Leaves signals to the process, and tells when it listens."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()


class ApiService:
    name = "api"

    def __init__(self, system: System, listening: socket.socket, *, on_ready: Callable[[str], None]) -> None:
        """Takes over the socket. ``on_ready`` gets the URL once requests are answered."""
        url = url_of(listening)
        self._lines = _request_lines(system.settings)
        self._keeper = RequestKeeper(
            request_spans=system.request_spans, clock=system.clock, metrics=system.metrics
        )
        self._export = system.span_export
        app = create_app(
            system,
            tell=None if self._lines is None else self._lines.tell,
            on_stored=self._stored,
        )
        self._outage: Outage = app.state.outage
        self._streams: EventStreams = app.state.event_streams
        config = uvicorn.Config(
            app,
            http=PROTOCOL,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        self._listening = listening
        self._server = _Server(config, lambda: on_ready(url))

    def _stored(self, served: ServedRequest) -> None:
        self._keeper.note(served)
        if self._export is not None:
            self._export.put_request(served)

    async def run(self) -> None:
        keeping = asyncio.create_task(self._keeper.run(), name="schedora-request-spans")
        try:
            await self._server.serve(sockets=[self._listening])
        finally:
            self._listening.close()
            await self._outage.close()
            self._keeper.stop()
            await asyncio.wait([keeping], timeout=GRACE_SECONDS)  # a store that hangs is not waited for
            keeping.cancel()
            await asyncio.wait([keeping])
            self._keeper.give_up()
            if self._lines is not None:
                self._lines.flush()

    def stop(self) -> None:
        self._streams.stop()  # which would be under way for as long as their clients like
        self._server.should_exit = True


def _request_lines(settings: Settings) -> LogLines | None:
    """Where lines are for machines, those of requests are written many at a time."""
    handler = next((one for one in logging.getLogger().handlers if isinstance(one, LogWriter)), None)
    if handler is None or settings.log_format is not LogFormat.JSON:
        return None
    return LogLines(REQUESTS, handler, redaction_of(settings.log_redact))


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Port 0 takes any free one. Raises ``PortInUse``."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PortInUse(f"can't listen on {host}:{port}: {error.strerror or error}") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        reason = "another program listens there" if error.errno == errno.EADDRINUSE else error.strerror
        raise PortInUse(f"can't listen on {host}:{port}: {reason}") from error
    return listening


def url_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
