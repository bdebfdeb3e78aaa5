"""What clients do that mean no good, or know no better: each over as many connections as it is told to."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

DRIP_SECONDS = 1.0
OPENING_AT_ONCE = 200
HEAD = b"%b %b HTTP/1.1\r\nHost: schedora.test\r\nContent-Type: application/json\r\n"
JOBS, BATCH = b"/api/v1/jobs", b"/api/v1/jobs/batch"


@define
class LocalCounters:
    """What became of the connections of an attack."""

    opened: int = 0
    refused: int = 0
    """That could not be opened."""
    answers: Counter[str] = field(factory=Counter)
    """By the first status that came over each; ``none`` where it was closed without a word."""


@frozen
class Target:
    """Where to, and what there is to ask for."""

    host: str
    port: int
    job_id: str
    """Of a job that waits for long."""


@frozen(kw_only=True)
class Attack:
    """``sends`` yields what is sent over one connection, piece by piece; ``reads`` tells whether it takes the answers."""

    name: str
    sends: Callable[[Target], AsyncIterator[bytes]]
    reads: bool = True
    half_closes: bool = False
    share: float = 1.0
    """Of the connections that are asked for: where each is dear for this machine, too."""


def head(method: bytes, path: bytes, *lines: bytes) -> bytes:
    """The head of a request."""
    return HEAD % (method, path) + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


async def _once(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def _drip(first: bytes, rest: bytes) -> AsyncIterator[bytes]:
    yield first
    while True:
        for start in range(len(rest)):
            await asyncio.sleep(DRIP_SECONDS)
            yield rest[start : start + 1]


async def _without_end(first: bytes, piece: bytes) -> AsyncIterator[bytes]:
    yield first
    while True:
        yield piece


def _asks(path: bytes) -> Callable[[Target], AsyncIterator[bytes]]:
    return lambda target: _once(head(b"GET", path.replace(b"JOB", target.job_id.encode())))


CHUNK = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
LARGE = b"Content-Length: 6000000"
CHUNKED = b"Transfer-Encoding: chunked"
UNKNOWN_FIELDS = json.dumps({f"f{number}": 1 for number in range(300_000)}).encode()
BAD_ROWS = b'{"jobs":[' + b"{}," * 1_000_000 + b"{}]}"
NESTED = b'{"type":"t","idempotency_key":"k","payload":{"a":' + b"[" * 3_000_000 + b"]" * 3_000_000 + b"}}"
LISTS = b'{"type":"t","idempotency_key":"k","payload":{"a":[' + b"[]," * 2_000_000 + b"[]]}}"


def _posts(path: bytes, body: bytes) -> Callable[[Target], AsyncIterator[bytes]]:
    return lambda _: _once(head(b"POST", path, b"Content-Length: %d" % len(body)), body)


ATTACKS: Sequence[Attack] = (
    Attack(name="connect and say nothing", sends=lambda _: _once()),
    Attack(name="headers byte by byte", sends=lambda _: _drip(b"GET / HTTP/1.1\r\nX: ", b"x")),
    Attack(name="body byte by byte", sends=lambda _: _drip(head(b"POST", JOBS, LARGE), b"{")),
    Attack(name="half of a body, then silence", sends=lambda _: _once(head(b"POST", JOBS, LARGE), b" " * 60_000)),
    Attack(name="5.9 MB of a body of 6 MB each", sends=lambda _: _once(head(b"POST", JOBS, LARGE), b" " * 5_900_000), share=0.1),
    Attack(name="a chunked body without end", sends=lambda _: _without_end(head(b"POST", JOBS, CHUNKED), CHUNK), share=0.1),
    Attack(name="headers without end", sends=lambda _: _without_end(b"GET / HTTP/1.1\r\n", b"X: x\r\n" * 1_000), share=0.1),
    Attack(name="half-closed", sends=_asks(b"/api/v1/jobs/JOB?wait=60"), half_closes=True),
    Attack(name="?wait=60", sends=_asks(b"/api/v1/jobs/JOB?wait=60")),
    Attack(name="event streams, read", sends=_asks(b"/api/v1/events")),
    Attack(name="event streams, never read", sends=_asks(b"/api/v1/events"), reads=False),
    Attack(name="lists of 500 large jobs, never read", sends=_asks(b"/api/v1/jobs?limit=500"), reads=False, share=0.1),
    Attack(name="10,000 pipelined requests, never read", sends=lambda _: _once(head(b"GET", b"/health/live") * 10_000), reads=False, share=0.25),
    Attack(name="websocket upgrades", sends=lambda _: _once(head(b"GET", b"/", b"Connection: Upgrade", b"Upgrade: websocket"))),
    Attack(name="300,000 unknown fields in 4 MB", sends=_posts(JOBS, UNKNOWN_FIELDS), share=0.01),
    Attack(name="1,000,000 bad rows in 3 MB", sends=_posts(BATCH, BAD_ROWS), share=0.01),
    Attack(name="lists nested 3,000,000 deep", sends=_posts(JOBS, NESTED), share=0.01),
    Attack(name="2,000,000 empty lists in 6 MB", sends=_posts(JOBS, LISTS), share=0.01),
)  # fmt: skip


async def strike(attack: Attack, target: Target, *, connections: int, seconds: float) -> LocalCounters:
    """Do it over so many connections for so long, and tell what came of it."""
    local_counters = LocalCounters()
    opening = asyncio.Semaphore(OPENING_AT_ONCE)
    each = [
        asyncio.create_task(_strike_once(attack, target, local_counters, opening))
        for _ in range(max(1, int(connections * attack.share)))
    ]
    await asyncio.wait(each, timeout=seconds)
    for one in each:
        one.cancel()
    await asyncio.gather(*each, return_exceptions=True)
    return local_counters


async def _strike_once(
    attack: Attack, target: Target, local_counters: LocalCounters, opening: asyncio.Semaphore
) -> None:
    try:
        async with opening:
            connection = socket.socket()
            if not attack.reads:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connection, (target.host, target.port))
            reader, writer = await asyncio.open_connection(sock=connection, limit=1 << 16)
    except OSError:
        local_counters.refused += 1
        return
    local_counters.opened += 1
    answered = asyncio.create_task(_first_status(reader)) if attack.reads else None
    if not attack.reads:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
    try:
        with suppress(ConnectionError):
            async for piece in attack.sends(target):
                writer.write(piece)
                await writer.drain()
            if attack.half_closes:
                writer.write_eof()
        await (answered or asyncio.Event().wait())
        await _drained(reader)
    finally:
        if answered is not None:
            status = answered.result() if answered.done() and not answered.cancelled() else "no answer yet"
            local_counters.answers[status] += 1
            answered.cancel()
        writer.transport.abort()


async def _first_status(reader: asyncio.StreamReader) -> str:
    try:
        line = await reader.readline()
    except (ConnectionError, ValueError):
        return "reset"
    return line.split(b" ")[1].decode() if line.startswith(b"HTTP/") else "closed"


async def _drained(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        while await reader.read(1 << 16):
            """It may say what it likes."""
