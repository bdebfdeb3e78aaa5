"""Posts jobs over HTTP as fast as they are answered: `python -m benchmarks.load URL JOBS CONNECTIONS JOBS_A_REQUEST`.

The bodies are made before the clock starts, and the answers are read by the parser that uvicorn uses: whatever
this process costs, the server it shares the machine with lacks.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from typing import TYPE_CHECKING, cast
from urllib.parse import SplitResult, urlsplit

import httptools
import orjson
import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator

CREATED = 201
WARM_UP_REQUESTS = 20
_PAD = "x" * 70


async def load(url: str, jobs: int, connections: int, batch: int) -> None:
    """Post so many jobs, and print how many and in how many seconds. Raises RuntimeError for another answer than 201."""
    place = urlsplit(url)
    await post(place, _requests(place, WARM_UP_REQUESTS, 1), connections)
    requests = list(_requests(place, jobs // batch, batch))
    began = time.perf_counter()
    await post(place, iter(requests), connections)
    print(json.dumps({"jobs": len(requests) * batch, "seconds": time.perf_counter() - began}))


async def post(place: SplitResult, requests: Iterator[bytes], connections: int) -> None:
    """Send all requests, each connection its next when the last is answered."""
    loop = asyncio.get_running_loop()
    opened = [Connection(requests, loop.create_future()) for _ in range(connections)]
    waiting = iter(opened)
    for _ in opened:
        await loop.create_connection(lambda: next(waiting), str(place.hostname), place.port or 80)
    for connection in opened:
        await connection.finished


class Connection(asyncio.Protocol):
    """One connection that is kept open."""

    def __init__(self, requests: Iterator[bytes], finished: asyncio.Future[None]) -> None:
        self.finished = finished
        self._requests = requests
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own kind
        self._next()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_exception(exc or RuntimeError("the server closed a connection"))

    def on_message_complete(self) -> None:
        """Called by the parser at the end of an answer."""
        status = self._parser.get_status_code()
        if status == CREATED:
            self._next()
        elif not self.finished.done():
            self.finished.set_exception(RuntimeError(f"the server answered {status}"))

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is not None:
            self._transport.write(request)
        elif not self.finished.done():
            self.finished.set_result(None)
            self._transport.close()


def _requests(place: SplitResult, count: int, batch: int) -> Iterator[bytes]:
    path = place.path if batch == 1 else f"{place.path}/batch"
    run = secrets.token_hex(8)
    for number in range(count):
        jobs = [
            {
                "type": "noop",
                "payload": {"n": number * batch + n, "at": 0, "pad": _PAD},
                "idempotency_key": f"{run}-{number * batch + n}",
            }
            for n in range(batch)
        ]
        body = orjson.dumps(jobs[0] if batch == 1 else {"jobs": jobs})
        head = (
            f"POST {path} HTTP/1.1\r\nhost: {place.netloc}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        yield head.encode() + body


if __name__ == "__main__":
    uvloop.run(load(sys.argv[1], *map(int, sys.argv[2:5])))
