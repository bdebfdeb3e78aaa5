"""What both limits do besides their SQL: write submissions together that arrive together, and wake a worker."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

CHANNEL = "bare"
HINT_SECONDS = 0.005
POLL_SECONDS = 0.5


@define
class GroupCommit:
    """One flusher: what is submitted while it writes goes with the next statement."""

    write: Callable[[list[str]], Awaitable[None]]
    _waiting: list[tuple[str, asyncio.Future[None]]] = field(factory=list)
    _flushing: asyncio.Task[None] | None = None

    async def submit(self, payload: str) -> None:
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((payload, written))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        await written

    async def _flush(self) -> None:
        while self._waiting:
            group = self._waiting[:]
            self._waiting.clear()
            try:
                await self.write([payload for payload, _ in group])
            except Exception as error:  # noqa: BLE001 - told to each of those who wait
                for _, written in group:
                    written.set_exception(error)
            else:
                for _, written in group:
                    written.set_result(None)
        self._flushing = None


@define
class Hints:
    """NOTIFY on a connection of its own, after the commit and once for all that came meanwhile."""

    connection: Connection
    _wanted: asyncio.Event = field(factory=asyncio.Event)

    def ring(self) -> None:
        self._wanted.set()

    @asynccontextmanager
    async def ringing(self) -> AsyncIterator[None]:
        """Send hints while the context lasts, and at its end the last."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self._notify()

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self._notify()
            await asyncio.sleep(HINT_SECONDS)

    async def _notify(self) -> None:
        await self.connection.execute(f"NOTIFY {CHANNEL}")


@define
class Wakeup:
    """Waits for a hint, or half a second."""

    _heard: asyncio.Event = field(factory=asyncio.Event)

    async def listen(self, connection: Connection) -> None:
        await connection.add_listener(CHANNEL, self._hear)

    def _hear(self, *_: Any) -> None:
        self._heard.set()

    async def wait(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._heard.wait()
        except TimeoutError:
            return
        self._heard.clear()
