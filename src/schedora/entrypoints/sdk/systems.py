"""The system that an app works with: opened by its first use, one for each event loop that uses it.

Connections belong to an event loop. A program has one loop, as a rule, or none; then the app brings its own,
in a thread. Where a program has several, each gets a system of its own. In a worker, and in tests, there is a
system already, and every call goes to that one.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

from schedora.application.context import run_without_waiting
from schedora.entrypoints.sdk.background import BackgroundLoop, result_from

if TYPE_CHECKING:
    from schedora.entrypoints.system import System

T = TypeVar("T")

Use = Callable[["System"], Coroutine[Any, Any, T]]
"""Something to be done with a system."""


class Systems(Protocol):
    """Where the calls of an app go."""

    async def use(self, use: Use[T], *, here: bool = False) -> T:
        """Does it. ``here``: on this event loop, as it must be with a connection that belongs to it."""
        ...

    def use_sync(self, use: Use[T], *, here: bool = False) -> T:
        """Does it while this thread waits. ``here``: on this thread, without ever waiting for an event loop,
        as it must be with a synchronous connection. Raises ``TypeError`` where that is not possible, and
        ``RuntimeError`` where this thread would wait for itself.
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
        self.opened: System | None = None
        """The same without waiting, while it is open."""
        self._closing = asyncio.Event()
        # In a context of its own: it is nobody's in particular, whoever came first.
        self._task = asyncio.get_running_loop().create_task(
            self._keep(connect), name="schedora-system", context=Context()
        )

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
                self.opened = system
                self.system.set_result(system)
                try:
                    await self._closing.wait()
                finally:
                    self.opened = None
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
        self._background = BackgroundLoop()

    async def use(self, use: Use[T], *, here: bool = False) -> T:
        del here  # it is always done on this event loop
        keeper = self._keepers.get(asyncio.get_running_loop())
        system = None if keeper is None else keeper.opened
        return await use(await self._current() if system is None else system)

    def use_sync(self, use: Use[T], *, here: bool = False) -> T:
        if not here:
            return self._background.run(self.use(use))
        system = self._background.run(self._current())
        result: T = run_without_waiting(use(system))
        return result

    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())

    async def close(self) -> None:
        """Closes the system of this event loop, and that of the background with its thread."""
        loop = asyncio.get_running_loop()
        with self._guard:
            keeper = self._keepers.pop(loop, None)
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
        with self._guard:
            keeper = self._keepers.get(loop)
            if keeper is None or keeper.failed:
                self._forget_closed_loops()
                keeper = self._keepers[loop] = _Keeper(self._connect)
        # Shielded: others may be waiting for the same opening.
        return await asyncio.shield(keeper.system)

    def _forget_closed_loops(self) -> None:
        for loop in [loop for loop in self._keepers if loop.is_closed()]:
            del self._keepers[loop]


class SharedSystem:
    """One system, on the event loop on which this is made, for calls from whatever thread and loop they come.

    Whoever opened it closes it, too.
    """

    def __init__(self, system: "System") -> None:
        self._system = system
        self._loop = asyncio.get_running_loop()

    async def use(self, use: Use[T], *, here: bool = False) -> T:
        if here or asyncio.get_running_loop() is self._loop:
            return await use(self._system)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(use(self._system), self._loop))

    def use_sync(self, use: Use[T], *, here: bool = False) -> T:
        if here:
            result: T = run_without_waiting(use(self._system))
            return result
        if self._is_here():
            return self.use_on_its_own_loop(use)
        return result_from(use(self._system), self._loop)

    def use_on_its_own_loop(self, use: Use[T]) -> T:
        """What the synchronous forms do where they would stop the loop that they wait for."""
        del use
        raise RuntimeError("this would block the event loop that it waits for: use the asynchronous form")

    async def sleep(self, span: timedelta) -> None:
        await self._system.clock.sleep(span)

    async def close(self) -> None:
        """It lasts as long as its owner wants."""

    def close_sync(self) -> None:
        """As ``close``."""

    def _is_here(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False


class NoSystem:
    """Where there is none to reach: every call raises ``RuntimeError`` and says why."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def use(self, use: Use[T], *, here: bool = False) -> T:
        del use, here
        self._refuse()

    def use_sync(self, use: Use[T], *, here: bool = False) -> T:
        del use, here
        self._refuse()

    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())

    async def close(self) -> None:
        """There is nothing to close."""

    def close_sync(self) -> None:
        """As ``close``."""

    def _refuse(self) -> NoReturn:
        raise RuntimeError(self._reason)
