"""The system that an app works with: opened by its first use, one for each event loop that uses it.

Connections belong to an event loop. A program has one loop, as a rule, or none; then the app brings its own,
in a thread. Where a program has several, each gets a system of its own.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from attrs import define

from schedora.application.context import run_without_waiting
from schedora.entrypoints.sdk.background import BackgroundLoop

if TYPE_CHECKING:
    from schedora.entrypoints.system import System

T = TypeVar("T")

Use = Callable[["System"], Coroutine[Any, Any, T]]
"""Something to be done with a system."""


class Systems(Protocol):
    """Where the calls of an app go."""

    async def use(self, use: Use[T]) -> T:
        """Does it on this event loop."""
        ...

    def use_sync(self, use: Use[T], *, here: bool = False) -> T:
        """Does it while this thread waits. ``here``: on this thread, without ever waiting for an event loop,
        as it must be with a synchronous connection. Raises ``TypeError`` where that is not possible.
        """
        ...

    async def close(self) -> None: ...

    def close_sync(self) -> None: ...


@define
class _Opened:
    lifetime: "AsyncGenerator[System, None]"
    opening: "asyncio.Task[System]"


class OwnSystems:
    """Opens a system for each event loop, once, and closes it again."""

    def __init__(self, connect: "Callable[[], AbstractAsyncContextManager[System]]") -> None:
        self._connect = connect
        self._guard = threading.Lock()
        self._opened: dict[asyncio.AbstractEventLoop, _Opened] = {}
        self._adopted: dict[asyncio.AbstractEventLoop, System] = {}
        self._background = BackgroundLoop()

    async def use(self, use: Use[T]) -> T:
        return await use(await self._current())

    def use_sync(self, use: Use[T], *, here: bool = False) -> T:
        if not here:
            return self._background.run(self.use(use))
        system = self._background.run(self._current())
        result: T = run_without_waiting(use(system))
        return result

    def adopt(self, system: "System") -> None:
        """Uses ``system`` on this event loop, and leaves it to its owner to close it."""
        self._forget_closed_loops()
        self._adopted[asyncio.get_running_loop()] = system

    async def close(self) -> None:
        """Closes the system of this event loop, and that of the background with its thread."""
        loop = asyncio.get_running_loop()
        with self._guard:
            opened = self._opened.pop(loop, None)
            self._adopted.pop(loop, None)
        if opened is not None:
            await _close(opened)
        if self._background.running:
            await asyncio.to_thread(self.close_sync)

    def close_sync(self) -> None:
        """Closes the system of the background, and ends its thread."""
        if self._background.running:
            self._background.run(self._close_in_background())
        self._background.stop()

    async def _close_in_background(self) -> None:
        with self._guard:
            opened = self._opened.pop(asyncio.get_running_loop(), None)
        if opened is not None:
            await _close(opened)

    async def _current(self) -> "System":
        """The system of this event loop. Raises what opening it raises; the next use tries again."""
        loop = asyncio.get_running_loop()
        if (adopted := self._adopted.get(loop)) is not None:
            return adopted
        with self._guard:
            opened = self._opened.get(loop)
            if opened is None:
                self._forget_closed_loops()
                lifetime = _lifetime(self._connect)
                opened = _Opened(lifetime, loop.create_task(anext(lifetime)))
                self._opened[loop] = opened
        try:
            # Shielded: others may be waiting for the same opening.
            return await asyncio.shield(opened.opening)
        except BaseException:
            if opened.opening.done() and self._opened.get(loop) is opened:
                del self._opened[loop]
            raise

    def _forget_closed_loops(self) -> None:
        for systems in (self._opened, self._adopted):
            for loop in [loop for loop in systems if loop.is_closed()]:
                del systems[loop]


async def _lifetime(
    connect: "Callable[[], AbstractAsyncContextManager[System]]",
) -> "AsyncGenerator[System, None]":
    """Yields an open system once, and closes it when it is closed itself.

    An event loop that ends closes its asynchronous generators: so a system that nobody closed is closed, too.
    """
    async with connect() as system:
        yield system


async def _close(opened: _Opened) -> None:
    if not opened.opening.done():
        opened.opening.cancel()
    await asyncio.gather(opened.opening, return_exceptions=True)
    await opened.lifetime.aclose()
