"""Event streams over a real socket, read as a client reads them."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from attrs import frozen

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.domain.events import JobEvent, Notice
from schedora.domain.job_state import JobState
from schedora.entrypoints.sdk.event_parser import EventParser, SentEvent
from tests.builders import NOON, a_job_id
from tests.programs import PATIENCE_SECONDS

ROUNDS = 50
"""More than anything takes that is asked for over a socket and answered."""


@frozen
class Told:
    """One event."""

    event: str
    data: Any
    event_id: str


class Followed:
    """One answer, as far as it was read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.retry_seconds: float | None = None
        self.raw = b""
        self._reader, self._writer = reader, writer
        self._parser = EventParser()
        self._events: list[SentEvent] = []

    async def ask(self, path: str, *, method: str = "GET", **headers: str) -> None:
        """The next request on this connection, until its head is here."""
        lines = [f"{method} /api/v1{path} HTTP/1.1", "Host: x"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await self._reader.readuntil(b"\r\n\r\n")
        first, *rest = head.decode().strip().split("\r\n")
        self.status = int(first.split(" ")[1])
        self.headers = dict(line.lower().split(": ", 1) for line in rest)

    async def body(self) -> bytes:
        """All of it, where its length is told."""
        return await self._reader.readexactly(int(self.headers["content-length"]))

    async def next(self) -> Told | None:
        """The next event with data; None at the end of the body. Raises ``IncompleteReadError`` where it was cut
        off.
        """
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                while self._events:
                    event = self._events.pop(0)
                    if event.data:
                        return Told(event.event, json.loads(event.data), event.event_id)
                if not await self.read_more():
                    return None

    async def read_more(self) -> bool:
        """One chunk; False for the last one."""
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        chunk = (await self._reader.readexactly(size + 2))[:-2]
        self.raw += chunk
        self._events += self._parser.feed(chunk)
        self.retry_seconds = self._parser.retry_seconds
        return size > 0

    async def next_of(self, event: str) -> Told:
        """The next event of this kind; fails for any other."""
        told = await self.next()
        assert told is not None, f"the stream has ended; {event} was to come"
        assert told.event == event, told
        return told

    async def all(self) -> list[Told]:
        """To the end."""
        told = []
        while (one := await self.next()) is not None:
            told.append(one)
        return told

    async def until_raw(self, text: bytes) -> None:
        """Until this stands in what was read."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while text not in self.raw:
                assert await self.read_more()

    async def leave(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


Follow = Callable[..., Awaitable[Followed]]


async def until(condition: Any, what: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)  # the other end of a socket is not ours to await
    assert condition(), what


async def settle() -> None:
    """Lets all that was set off happen, at both ends of a socket, on a machine that is slow, too: it takes rounds of the
    loop, of which a millisecond may be one.
    """
    await asyncio.sleep(0.001)  # as above
    for _ in range(ROUNDS):
        await asyncio.sleep(0)


async def tick(clock: VirtualClock, condition: Any, what: str) -> None:
    """Lets time pass, from wait to wait, until the condition holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            clock.advance_to_next_wait()
            await settle()
    assert condition(), what


def a_notice(to: JobState = JobState.PENDING, **fields: Any) -> Notice:
    event = JobEvent(at=NOON, from_state=None, to_state=to, attempt=0)
    about: dict[str, Any] = {
        "job_id": a_job_id(), "type": "work", "queue": "mail", "workflow_id": None, "event": event
    }  # fmt: skip
    return Notice(**about | fields)
