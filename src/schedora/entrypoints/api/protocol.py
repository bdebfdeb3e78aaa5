"""HTTP below the application: what is no HTTP never reaches it, and gets a problem all the same; what takes too much or
too long is ended; and the application learns of the connection what ASGI has no word for.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Sized
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from schedora.application.log import Logger
from schedora.entrypoints.api.connections import (
    ADDRESS_TOO_LONG,
    HEAD_TOO_LARGE,
    LINGER_SECONDS,
    NO_ROOM,
    Connections,
    Phase,
)
from schedora.entrypoints.api.event_streams import CONNECTION
from schedora.entrypoints.api.problems import Problem

if sys.platform != "win32":
    from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

log = Logger("schedora.api")

MALFORMED = Problem(kind="bad-request", status=400, detail="This is no request in HTTP/1.1.")
FRAMING_TOO_LARGE = Problem(
    kind="head-too-large",
    status=431,
    detail="What stands between the pieces of the body, or behind them, is larger than the server reads.",
)
UNWANTED_BYTES_MAX = 8 * 1024 * 1024
"""What is read of a body that nobody wants, so that its client comes to read the answer."""

PIPELINED_MAX = 100
"""Requests that may wait on a connection for those before them. They come many in one piece, each with memory to take."""


class _Refused(Exception):
    """Raised within the parser, to end its work. uvicorn takes it for a request that can't be parsed."""


class _Own:
    """Before uvicorn's own protocol, whichever that is."""

    connections_of_all: Connections

    # uvicorn's
    transport: asyncio.Transport
    flow: Any
    cycle: Any
    app_state: dict[str, object]
    pipeline: Sized = ()
    """Requests that wait behind the one that is answered. The other parser hands on one at a time."""

    # Ours
    received_bytes = 0
    refused_status: int | None = None
    """What the client was told in place of an answer to the request that is under way."""
    head_bytes = 0
    _unwanted_bytes = 0
    """Received behind the answer, or the refusal."""
    _reason = MALFORMED
    _last = False
    """Nothing more is heard; once what is under way is answered, the connection closes."""
    _said = False
    """That is over, and the client has been told why."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        # What each request of the connection finds in the ``state`` of its scope.
        self.app_state = {**self.app_state, CONNECTION: self}
        super().connection_made(transport)  # type: ignore[misc] # uvicorn's, which comes next
        if not self.connections_of_all.enter(self):
            self._say(NO_ROOM)
            # Is not looked at, as it has not entered.
            asyncio.get_running_loop().call_later(LINGER_SECONDS, transport.abort)

    def connection_lost(self, error: Exception | None) -> None:
        self.connections_of_all.leave(self)
        super().connection_lost(error)  # type: ignore[misc] # as above

    def data_received(self, data: bytes) -> None:
        if self._last:
            self._read_unwanted(data)
            return
        self.received_bytes += len(data)
        before = self.cycle
        in_head = before is None or not before.more_body
        if not in_head and before.response_complete:
            self._read_unwanted(data)
        limit_bytes = self.connections_of_all.limits.head_bytes
        if in_head and len(data) > limit_bytes:
            # No more of a head than is allowed is parsed: each line of it costs a call.
            super().data_received(data[: limit_bytes + 1])  # type: ignore[misc] # as above
            if self.cycle is before or self._last:
                if not self._last:
                    self.connections_of_all.refuse(self, self._too_large())
                return
            data = data[limit_bytes + 1 :]
        super().data_received(data)  # type: ignore[misc] # as above
        if self.cycle is not before:
            self.head_bytes = self._unwanted_bytes = 0
        elif in_head and not self._last:
            self.head_bytes += len(data)
            if self.head_bytes > self.connections_of_all.limits.head_bytes:
                self.connections_of_all.refuse(self, self._too_large())

    def _too_large(self) -> Problem:
        """Which part of the head it is; the other parser does not tell what it has read of an address."""
        address_bytes = len(getattr(self, "url", b""))
        mostly_address = address_bytes * 2 > self.connections_of_all.limits.head_bytes
        return ADDRESS_TOO_LONG if mostly_address else HEAD_TOO_LARGE

    def _read_unwanted(self, data: bytes) -> None:
        self._unwanted_bytes += len(data)
        if self._unwanted_bytes > UNWANTED_BYTES_MAX:
            self.abort()

    def send_400_response(self, _: str) -> None:
        """In place of uvicorn's, which answers plain text."""
        self.connections_of_all.refuse(self, self._reason)

    def on_response_complete(self) -> None:
        nothing_follows = not self.pipeline
        super().on_response_complete()  # type: ignore[misc] # as above
        if self._last and nothing_follows:
            self.transport.close()

    def step(self) -> tuple[Phase, object]:
        cycle = self.cycle
        if self._said or self.transport.is_closing():
            return Phase.LEAVING, cycle
        if cycle is None:
            return Phase.ASKING, None
        if cycle.more_body:
            return (Phase.OVER if cycle.response_complete else Phase.SENDING), cycle
        return (Phase.ASKING if cycle.response_complete else Phase.WAITING), cycle

    def unsent_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def held_back(self) -> bool:
        held: bool = self.flow.read_paused
        return held

    def refuse(self, problem: Problem) -> None:
        cycle = self.cycle
        answering = cycle is not None and not cycle.response_complete and not cycle.more_body
        if self.pipeline or answering or (cycle is not None and cycle.response_started and cycle.more_body):
            # Whatever were said now would be taken for the answer to an earlier request.
            self._hear_no_more()
            if cycle.response_complete:
                self.transport.close()
            return
        if cycle is not None and cycle.more_body:
            self.refused_status = problem.status
            # As uvicorn does when the connection is lost: the application waits for more of the body.
            cycle.disconnected = True
            cycle.message_event.set()
        self._say(problem)

    def close(self) -> None:
        self._hear_no_more()
        self.transport.close()

    def abort(self) -> None:
        self._last = True
        self.transport.abort()

    def _say(self, problem: Problem) -> None:
        if self._said or self.transport.is_closing():
            return
        self._last = self._said = True
        trace_id = uuid4().hex
        if self.refused_status is None:
            log.warning("request refused", reason=problem.detail, status=problem.status, trace_id=trace_id)
        response = problem.response(trace_id)
        first = f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}".encode()
        head = [first, *(b": ".join(header) for header in response.raw_headers)]
        self.transport.write(b"\r\n".join([*head, b"connection: close", b"", response.body]))
        # A connection that is closed while its client sends is reset, and what was said is lost on the way.
        self.flow.resume_reading()
        self.transport.write_eof()

    def _hear_no_more(self) -> None:
        self._last = True
        if not self.transport.is_closing():
            self.flow.pause_reading()


class _OfHttptools:
    """For the parser that has no bound of its own, calls the next request before this one is answered, and takes what follows
    a wish for another protocol to be said in that one.
    """

    # uvicorn's
    url: bytes
    headers: list[tuple[bytes, bytes]] | deque[tuple[bytes, bytes]]

    # Ours
    _under_way: Any = None
    """The request that is answered; ``cycle`` may be one that waits behind it."""
    _framing_bytes = 0
    """Received since anything came of it: a head, or a piece of a body."""

    def data_received(self: Any, data: bytes) -> None:
        """In place of uvicorn's."""
        self._unset_keepalive_if_required()
        self._framing_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            if self._asks_for_another_protocol():
                self._ask_for_none(data[upgrade.args[0] :])
            return
        except HttpParserError as error:
            self.send_400_response(str(error))
            return
        in_body = self.cycle is not None and self.cycle.more_body and not self._last
        if in_body and self._framing_bytes > self.connections_of_all.limits.head_bytes:
            self.connections_of_all.refuse(self, FRAMING_TOO_LARGE)

    def on_headers_complete(self: Any) -> None:
        size_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size_bytes > self.connections_of_all.limits.head_bytes:
            self._reason = self._too_large()
            raise _Refused
        if len(self.pipeline) >= PIPELINED_MAX:
            raise _Refused
        if self._asks_for_another_protocol():
            return
        super().on_headers_complete()  # type: ignore[misc] # as above
        self._framing_bytes = 0
        self.headers = deque(maxlen=0)  # for trailers, which are nothing to anybody
        if not self.pipeline:
            self._under_way = self.cycle

    def on_body(self: Any, body: bytes) -> None:
        self._framing_bytes = 0
        super().on_body(body)  # type: ignore[misc] # as above

    def on_message_complete(self: Any) -> None:
        if self._asks_for_another_protocol():
            return
        super().on_message_complete()  # type: ignore[misc] # as above
        self.cycle.more_body = False  # which uvicorn forgets where the answer came before the body

    def on_response_complete(self: Any) -> None:
        if self.pipeline:
            self._under_way = self.pipeline[-1][0]
        super().on_response_complete()  # type: ignore[misc] # as above

    def connection_lost(self: Any, error: Exception | None) -> None:
        if self._under_way is not None and not self._under_way.response_complete:
            # uvicorn tells the newest request alone, and not the one that it waits behind.
            self._under_way.disconnected = True
            self._under_way.message_event.set()
        super().connection_lost(error)  # type: ignore[misc] # as above

    def _asks_for_another_protocol(self: Any) -> bool:
        return self.parser.should_upgrade() and any(name == b"upgrade" for name, _ in self.headers)

    def _ask_for_none(self: Any, rest: bytes) -> None:
        """The same request without its wish, which may be passed over (RFC 9110, section 7.8): the parser has stopped at its body.
        Clients of Java, for one, wish for HTTP/2 wherever nobody told them not to.
        """
        first = b" ".join(
            (self.parser.get_method(), self.url, f"HTTP/{self.parser.get_http_version()}".encode())
        )
        lines = [b": ".join(header) for header in self.headers if header[0] != b"upgrade"]
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        _OfHttptools.data_received(self, b"\r\n".join((first, *lines, b"", rest)))


def protocol(connections: Connections) -> type[asyncio.Protocol]:
    """What uvicorn speaks on each connection, which enters ``connections``."""
    bounded = (_OfHttptools,) if hasattr(AutoHTTPProtocol, "on_headers_complete") else ()
    members = {"connections_of_all": connections}
    made: type[asyncio.Protocol] = type("Protocol", (_Own, *bounded, AutoHTTPProtocol), members)
    return made
