"""Server-Sent Events: streams that end when their story does, when their client leaves or does not keep up, or when the
server stops.

The wire format is that of the HTML standard, section 9.2. FastAPI's own response for it is not used: it starts two
more tasks a stream, begins to answer before it knows whether there is an answer, and waits for a client that does not
read for as long as that takes.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from fastapi import Response
from fastapi.sse import format_sse_event
from starlette.types import Message, Receive, Scope, Send

from schedora.application.log import Logger
from schedora.application.ports.metrics import Counter, Metrics
from schedora.entrypoints.api.answers import encoded
from schedora.entrypoints.api.problems import STOPPING, Refused, unavailable
from schedora.entrypoints.api.request_context import request_context_of

log = Logger("schedora.api")

MEDIA_TYPE = "text/event-stream"
CONNECTION = "schedora.connection"
"""Under this name, the ``state`` of the scope has a ``Connection``, where the server knows one."""

KEEP_ALIVE = timedelta(seconds=15)
"""Proxies end what is silent for a minute or so."""

RETRY_MS, RETRY_SPREAD_MS = 1_000, 2_000
"""What clients are asked to wait before they come back: not all at once."""

SENT_WITHIN_SECONDS = 30.0
"""Whose buffers are full for so long does not read."""

GRACE_SECONDS = 2.0
"""What a client that is dropped has to read what was sent; less than the service has to stop."""


class Connection(Protocol):
    """What ASGI has no word for."""

    def unsent_bytes(self) -> int: ...

    def abort(self) -> None:
        """Ends it, whatever is unsent."""
        ...


class Dropped(StrEnum):
    """Why the server ends a stream that is not at its end: the client is to come back."""

    SLOW = "slow"
    """It did not read as fast as there was something to tell."""
    STOPPING = "stopping"
    """The server stops; another one may be there already."""


Frames = AsyncGenerator[bytes, None]


class Stream:
    """One stream from the request on. ``wake`` is set when its state changes, and by whoever has something for it."""

    def __init__(self, connection: Connection | None, *, trace_id: str) -> None:
        self.trace_id = trace_id
        self.wake = asyncio.Event()
        self.dropped: Dropped | None = None
        self.left = False
        self._connection = connection

    @property
    def open(self) -> bool:
        return self.dropped is None and not self.left

    def drop(self, why: Dropped) -> None:
        if self.open:
            self.dropped = why
            self.wake.set()
            asyncio.get_running_loop().call_later(GRACE_SECONDS, self._cut_off)

    def leave(self) -> None:
        """The client has gone."""
        self.left = True
        self.wake.set()

    def _cut_off(self) -> None:
        """A connection that is closed in the usual way stays until its client has read all, if ever."""
        if self._connection is not None and self._connection.unsent_bytes():
            self._connection.abort()


class EventStreams:
    """All streams of this process: at most so many, each dropped when it must be."""

    def __init__(self, limit: int, metrics: Metrics) -> None:
        self._limit = limit
        self._metrics = metrics
        self._streams: set[Stream] = set()
        self._stopping = False

    def __len__(self) -> int:
        return len(self._streams)

    @contextmanager
    def opened(self, scope: Scope) -> Iterator[Stream]:
        """Raises ``Refused`` when there are too many, and when the server stops."""
        if self._stopping:
            raise Refused(STOPPING)
        if len(self._streams) >= self._limit:
            raise Refused(
                unavailable(f"There are {self._limit} event streams already, and no room for more.")
            )
        stream = Stream(
            scope.get("state", {}).get(CONNECTION), trace_id=request_context_of(scope).trace.trace_id
        )
        self._streams.add(stream)
        try:
            yield stream
        finally:
            self._streams.discard(stream)

    def drop_slow(self, stream: Stream) -> None:
        if stream.open:
            self._metrics.count(Counter.EVENT_STREAMS_DROPPED)
            log.warning(
                "event stream dropped: its client does not read as fast as there is something to tell",
                trace_id=stream.trace_id,
            )
            stream.drop(Dropped.SLOW)

    def stop(self) -> None:
        """Ends all streams, and opens none any more."""
        self._stopping = True
        for stream in tuple(self._streams):
            stream.drop(Dropped.STOPPING)


class EventStreamResponse(Response):
    """Sends what ``frames`` yield until they end, or the stream does. What is raised before the first frame is
    answered as a problem.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self, streams: EventStreams, frames: Callable[[Stream], Frames], *, with_body: bool = True
    ) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(headers=headers)
        del self.headers["content-length"]
        self._streams = streams
        self._frames = frames
        self._with_body = with_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        if not self._with_body:
            await send(start)
            await send(_body(b"", more=False))
            return
        with self._streams.opened(scope) as stream:
            async with aclosing(self._frames(stream)) as frames:
                first = await anext(frames)
                leaving = asyncio.create_task(_leaves(receive, stream))
                try:
                    await send(start)
                    await self._send_all(first, frames, stream, send)
                finally:
                    leaving.cancel()

    async def _send_all(self, first: bytes, frames: Frames, stream: Stream, send: Send) -> None:
        loop = asyncio.get_running_loop()
        chunk: bytes | None = first
        while chunk is not None and stream.open:
            too_late = loop.call_later(SENT_WITHIN_SECONDS, self._streams.drop_slow, stream)
            await send(_body(chunk))  # which takes as long as the client likes
            too_late.cancel()
            chunk = await anext(frames, None)
        if not stream.left:
            last = b"" if stream.dropped is None else frame("dropped", {"reason": stream.dropped})
            await send(_body(last, more=False))


async def _leaves(receive: Receive, stream: Stream) -> None:
    while (await receive())["type"] != "http.disconnect":
        """A body that nobody asked for."""
    stream.leave()


def frame(event: str, data: object, *, event_id: str | None = None) -> bytes:
    """One event; ``data`` as JSON."""
    return format_sse_event(event=event, data_str=encoded(data).decode(), id=event_id)


def opening(unit_random: float) -> bytes:
    """What every stream begins with: when to come back."""
    return format_sse_event(retry=RETRY_MS + int(RETRY_SPREAD_MS * unit_random))


def keep_alive(event_id: str | None = None) -> bytes:
    """A comment, which no client shows. An id beside it, without data, moves the place from which one resumes."""
    return format_sse_event(comment="keep-alive", id=event_id)


def _body(chunk: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": chunk, "more_body": more}
