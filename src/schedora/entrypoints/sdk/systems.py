"""The system that an app works with: opened by its first use, one for each event loop that uses it.

Connections belong to an event loop. A program has one loop, as a rule, or none; then the app brings its own,
in a thread. Where a program has several, each gets a system of its own.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

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

    async def sleep(self, span: timedelta) -> None:
        """By the clock of these systems."""
        ...

    async def close(self) -> None: ...

    def close_sync(self) -> None: ...


class _Keeper:
    """Keeps one system open, in a task of its own, until it is told to close it.

    A task, for an event loop that ends cancels its tasks and lets them finish: so a system that nobody closed
    is closed in order, too.
    """

    def __init__(self, connect: "Callable[[], AbstractAsyncContextManager[System]]") -> None:
        self.system: asyncio.Future[System] = asyncio.get_running_loop().create_future()
        self._closing = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._keep(connect), name="schedora-system")

    @property
    def failed(self) -> bool:
        """Whether the system could not be opened."""
        return self.system.done() and (self.system.cancelled() or self.system.exception() is not None)

    async def close(self) -> None:
        """Raises what closing raises."""
        self._closing.set()
        await asyncio.shield(self._task)

    async def _keep(self, connect: "Callable[[], AbstractAsyncContextManager[System]]") -> None:
        try:
            async with connect() as system:
                self.system.set_result(system)
                await self._closing.wait()
        except BaseException as error:
            if self.system.done():
                raise
            if not isinstance(error, Exception):
                self.system.cancel()
                raise
            self.system.set_exception(error)


class OwnSystems:
    """Opens a system for each event loop, once, and closes it again."""

    def __init__(self, connect: "Callable[[], AbstractAsyncContextManager[System]]") -> None:
        self._connect = connect
        self._guard = threading.Lock()
        self._keepers: dict[asyncio.AbstractEventLoop, _Keeper] = {}
        self._adopted: dict[asyncio.AbstractEventLoop, System] = {}
        self._background = BackgroundLoop()

    async def use(self, use: Use[T]) -> T:
        return await use(await self._current())

    def use_sync(self, use: Use[T], *, here: bool = False) -> T:
        home = self._home()
        if home is not None:
            return _at_home(use, *home, here=here)
        if not here:
            return self._background.run(self.use(use))
        system = self._background.run(self._current())
        result: T = run_without_waiting(use(system))
        return result

    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())

    def adopt(self, system: "System") -> None:
        """Uses ``system`` on this event loop, and for the synchronous forms on every thread; leaves it to its
        owner to close it.
        """
        self._forget_closed_loops()
        self._adopted[asyncio.get_running_loop()] = system

    async def close(self) -> None:
        """Closes the system of this event loop, and that of the background with its thread."""
        loop = asyncio.get_running_loop()
        with self._guard:
            keeper = self._keepers.pop(loop, None)
            self._adopted.pop(loop, None)
        if keeper is not None:
            await keeper.close()
        if self._background.running:
            await asyncio.to_thread(self.close_sync)

    def close_sync(self) -> None:
        """Closes the system of the background, and ends its thread."""
        if self._background.running:
            self._background.run(self._close_in_background())
        self._background.stop()

    async def _close_in_background(self) -> None:
        with self._guard:
            keeper = self._keepers.pop(asyncio.get_running_loop(), None)
        if keeper is not None:
            await keeper.close()

    async def _current(self) -> "System":
        """The system of this event loop. Raises what opening it raises; the next use tries again."""
        loop = asyncio.get_running_loop()
        if (adopted := self._adopted.get(loop)) is not None:
            return adopted
        with self._guard:
            keeper = self._keepers.get(loop)
            if keeper is None or keeper.failed:
                self._forget_closed_loops()
                keeper = self._keepers[loop] = _Keeper(self._connect)
        # Shielded: others may be waiting for the same opening.
        return await asyncio.shield(keeper.system)

    def _home(self) -> "tuple[asyncio.AbstractEventLoop, System] | None":
        """The loop that runs with a system adopted, and that system."""
        for loop, system in list(self._adopted.items()):
            if loop.is_running():
                return loop, system
        return None

    def _forget_closed_loops(self) -> None:
        for loop in [loop for loop in (*self._keepers, *self._adopted) if loop.is_closed()]:
            self._keepers.pop(loop, None)
            self._adopted.pop(loop, None)


def _at_home(use: Use[T], loop: asyncio.AbstractEventLoop, system: "System", *, here: bool) -> T:
    """Does it on the loop of the adopted system, while this thread waits. Raises ``RuntimeError`` on that loop's
    own thread, which would wait for itself.
    """
    if here:
        result: T = run_without_waiting(use(system))
        return result
    if _runs_here(loop):
        raise RuntimeError("this would block the event loop that it waits for: use the asynchronous form")
    return asyncio.run_coroutine_threadsafe(use(system), loop).result()


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
