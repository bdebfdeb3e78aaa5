"""The API as a service: uvicorn on a socket that is bound before anything else starts."""

import asyncio
import contextlib
import errno
import logging
import math
import socket
import sys
import time
from collections.abc import Callable, Iterator

import uvicorn

from schedora.adapters.telemetry.http_metrics import HttpMetrics
from schedora.adapters.telemetry.log_lines import LogLines
from schedora.adapters.telemetry.logs import LogWriter
from schedora.application.log import REQUESTS, Logger
from schedora.application.ports.metrics import Gauge
from schedora.application.request_keeper import RequestKeeper
from schedora.application.telemetry.redaction import redaction_of
from schedora.application.telemetry.request_span import ServedRequest
from schedora.entrypoints.api.app import create_app
from schedora.entrypoints.api.connections import Connections, Limits
from schedora.entrypoints.api.event_streams import EventStreams
from schedora.entrypoints.api.middleware import UNROUTED
from schedora.entrypoints.api.outage_log import OutageLog
from schedora.entrypoints.api.protocol import protocol
from schedora.entrypoints.settings import LogFormat, Settings
from schedora.entrypoints.system import System

log = Logger("schedora.api")

OTHER = "OTHER"
FILES_BESIDE = 200
FILES_ON_WINDOWS = 1 << 20
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
        self._outage: OutageLog = app.state.outage
        self._streams: EventStreams = app.state.event_streams
        self._stopping: asyncio.Event = app.state.stopping
        http_metrics: HttpMetrics = app.state.http_metrics
        self._connections = Connections(
            limits_of(system.settings),
            monotonic=time.monotonic,
            tell_of=lambda status: http_metrics.observe(OTHER, UNROUTED, status, 0),
        )
        system.gauges.register(Gauge.HTTP_CONNECTIONS, lambda: len(self._connections))
        config = uvicorn.Config(
            app,
            http=protocol(self._connections),
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            # Longer than clients keep a connection that they don't use, most of them for five seconds as uvicorn does: who closes
            # first while the other one asks loses the request.
            timeout_keep_alive=math.ceil(system.settings.api_client_timeout),
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        self._listening = listening
        self._next_look: asyncio.TimerHandle | None = None
        self._server = _Server(config, lambda: on_ready(url))

    def _stored(self, served: ServedRequest) -> None:
        self._keeper.note(served)
        if self._export is not None:
            self._export.put_request(served)

    async def run(self) -> None:
        keeping = asyncio.create_task(self._keeper.run(), name="schedora-request-spans")
        self._look_after_connections()
        try:
            await self._server.serve(sockets=[self._listening])
        finally:
            self._listening.close()
            await self._outage.close()
            if self._next_look is not None:
                self._next_look.cancel()
            self._keeper.stop()
            await asyncio.wait([keeping], timeout=GRACE_SECONDS)  # a store that hangs is not waited for
            keeping.cancel()
            await asyncio.wait([keeping])
            self._keeper.give_up()
            if self._lines is not None:
                self._lines.flush()

    def _look_after_connections(self) -> None:
        """From now on. What goes wrong with one look is told by the event loop, and the next comes all the same."""
        seconds = self._connections.limits.look_seconds
        self._next_look = asyncio.get_running_loop().call_later(seconds, self._look_after_connections)
        self._connections.look()

    def stop(self) -> None:
        for connection in tuple(self._server.server_state.connections):
            connection.shutdown()  # at once, so that what is answered from now on says that it is the last
        # What waits, for clients or for jobs, would do so for longer than there is time.
        self._stopping.set()
        self._streams.stop()
        self._server.should_exit = True


def _request_lines(settings: Settings) -> LogLines | None:
    """Where lines are for machines, those of requests are written many at a time."""
    handler = next((one for one in logging.getLogger().handlers if isinstance(one, LogWriter)), None)
    if handler is None or settings.log_format is not LogFormat.JSON:
        return None
    return LogLines(REQUESTS, handler, redaction_of(settings.log_redact))


def limits_of(settings: Settings) -> Limits:
    """Each connection takes a file descriptor: where the process may not have so many, there are fewer."""
    connections = min(settings.api_connections_max, _files_allowed(settings) - _files_beside(settings))
    if connections < settings.api_connections_max:
        log.warning(
            "fewer connections than API_CONNECTIONS_MAX: raise the limit of open files (ulimit -n)",
            connections=connections,
            api_connections_max=settings.api_connections_max,
        )
    return Limits(
        connections=max(1, connections),
        slow_seconds=settings.api_client_timeout,
        head_bytes=settings.api_head_bytes_max,
        buffer_bytes=settings.api_buffer_bytes_max,
    )


def _files_beside(settings: Settings) -> int:
    """What a process opens besides: connections of its own, modules, logs."""
    return FILES_BESIDE + settings.database_pool_size + settings.database_max_overflow


def _files_allowed(settings: Settings) -> int:
    """Raised as far as is needed and allowed."""
    if sys.platform == "win32":
        return FILES_ON_WINDOWS
    import resource  # noqa: PLC0415 - there is none for Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.api_connections_max + _files_beside(settings)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(OSError, ValueError):  # a system may have limits that it does not tell
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    return int(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


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
