"""The proxy of the torture, for tests of any kind: in a thread of its own."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from schedora_torture.proxy import Direction, Proxy, tcp, unix

Answer = TypeVar("Answer")


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def do(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)


@contextmanager
def loop_thread() -> Iterator[LoopThread]:
    """Runs for as long as the context is open."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="loop of a proxy")
    thread.start()
    try:
        yield LoopThread(loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class FaultyNetwork:
    """Between programs and the PostgreSQL at ``url``; ``url`` of this one is where programs find it."""

    def __init__(self, url: str, loop: LoopThread) -> None:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        if "host" in query:
            connect = unix(f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}")
        else:
            connect = tcp(parts.hostname or "127.0.0.1", parts.port or 5432)
        self._user, self._path = parts.username or "", parts.path
        self._loop = loop
        self._proxy = Proxy(connect)

    @property
    def url(self) -> str:
        return f"postgresql://{self._user}@127.0.0.1:{self._proxy.port}{self._path}?sslmode=disable"

    def cut(self) -> None:
        """Every connection is reset, old and new."""
        self._loop.do(self._proxy.cut())

    def swallow(self, directions: Direction) -> None:
        """Nothing passes in these directions, and nobody is told."""
        self._loop.do(self._swallowing(directions))

    def heal(self) -> None:
        self._loop.do(self._healing())

    async def _swallowing(self, directions: Direction) -> None:
        self._proxy.swallow(directions)

    async def _healing(self) -> None:
        self._proxy.heal()

    @contextmanager
    def open(self) -> Iterator[None]:
        self._loop.do(self._proxy.__aenter__())
        try:
            yield
        finally:
            self._loop.do(self._proxy.__aexit__(None, None, None))


@contextmanager
def faulty_network(url: str) -> Iterator[FaultyNetwork]:
    """Open for as long as the context is."""
    with loop_thread() as loop:
        network = FaultyNetwork(url, loop)
        with network.open():
            yield network
