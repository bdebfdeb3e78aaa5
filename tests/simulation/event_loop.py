"""An event loop in which nothing is left to chance but what the seed decides.

Every simulated thread has its callbacks in the order in which they came, as asyncio promises to each event loop. Which thread
goes next is up to the seed, as it is up to the operating system elsewhere. Time stands still while anybody has something to
do, and then jumps to the next timer.
"""

import asyncio
import contextvars
import random
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context, ContextVar
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final, TypeVar

from schedora.adapters.memory.virtual_clock import BEGINNING
from schedora.adapters.system.clock import SystemClock

T = TypeVar("T")

SECOND_US: Final = 1_000_000
STEPS_MAX: Final = 200_000
"""Steps while time stands still: whoever makes more of them is caught in a loop."""
THREAD_SECONDS_MAX: Final = 2.0
"""What an executor's thread takes for a call, at most."""

_thread: ContextVar["SimulatedThread"] = ContextVar("simulated_thread")


class SimulatedThread:
    """Of a simulated process. Frozen, it does nothing until it is thawed; dead, it never does anything again: its tasks
    are left wherever they are, and no ``finally`` of theirs is run.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.frozen = False
        self.dead = False
        self.ready: deque[Handle] = deque()
        self.context = contextvars.Context()
        self.context.run(_thread.set, self)


class Handle:
    """One callback on its way."""

    __slots__ = ("args", "callback", "canceled", "context", "thread")

    def __init__(
        self, thread: SimulatedThread, context: Context, callback: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        self.thread = thread
        self.context = context
        self.callback = callback
        self.args = args
        self.canceled = False

    def cancel(self) -> None:
        self.canceled = True

    def cancelled(self) -> bool:
        return self.canceled


class Stuck(Exception):
    """Time does not move on, for somebody is never done."""


class SimulatedLoop(asyncio.AbstractEventLoop):
    """What asyncio asks of an event loop, as far as the engine uses it."""

    def __init__(self, chance: random.Random) -> None:
        self.now_us = 0
        self.since_begin = timedelta(0)
        """The same, as clocks tell it."""
        self.steps = 0
        self._chance = chance
        self._outside = SimulatedThread("world")
        self._current = self._outside
        self._runnable: list[SimulatedThread] = []
        self._timers: list[tuple[int, int, Handle]] = []
        self._numbers = count()
        self._tasks: list[tuple[asyncio.Task[Any], SimulatedThread]] = []
        self._left_behind: list[Handle] = []
        """Of dead threads: kept, so that nothing of theirs is collected, and ends, while the simulation goes on."""

    @property
    def outside(self) -> Context:
        """Of nobody's thread: for what happens to processes."""
        return self._outside.context.copy()

    @property
    def current(self) -> SimulatedThread:
        """Whose turn it is."""
        return self._current

    def spawn(self, thread: SimulatedThread, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """A task that runs in this thread."""
        return self.create_task(work, context=thread.context.copy())

    def tell(self, thread: SimulatedThread, callback: Callable[..., Any], *args: Any) -> None:
        """Calls from one thread into another."""
        self.call_soon(callback, *args, context=thread.context.copy())

    def freeze(self, thread: SimulatedThread) -> None:
        thread.frozen = True
        if thread in self._runnable:
            self._runnable.remove(thread)

    def thaw(self, thread: SimulatedThread) -> None:
        thread.frozen = False
        if thread.ready and not thread.dead and thread not in self._runnable:
            self._runnable.append(thread)

    def kill(self, thread: SimulatedThread) -> None:
        thread.dead = True
        self._left_behind += thread.ready
        thread.ready.clear()
        if thread in self._runnable:
            self._runnable.remove(thread)

    def run_until(self, moment_us: int) -> None:
        """Until this moment, or ``stop`` was called."""
        asyncio._set_running_loop(self)
        try:
            while self._let_all_run() and self._timers and self._timers[0][0] <= moment_us:
                self._pass_on_to(self._timers[0][0])
            self._move_on_to(moment_us)
        finally:
            asyncio._set_running_loop(None)

    def wind_up(self) -> None:
        """Ends whatever is still there, the dead included, so that nobody is surprised at the end of this process."""
        asyncio._set_running_loop(self)
        try:
            for _, thread in self._tasks:
                thread.dead = False
                self.thaw(thread)
            for handle in self._left_behind:
                self._put(handle)
            while pending := [task for task, _ in self._tasks if not task.done()]:
                for task in pending:
                    task.cancel()
                self._let_all_run()
        finally:
            asyncio._set_running_loop(None)

    def unheard(self) -> Iterator[BaseException]:
        """What has ended tasks of threads that live, and nobody has asked them for."""
        for task, thread in self._tasks:
            if not thread.dead and task.done() and not task.cancelled() and task._log_traceback:
                error = task.exception()
                if error is not None:
                    yield error

    def _let_all_run(self) -> bool:
        steps_left = STEPS_MAX
        runnable = self._runnable
        while runnable:
            thread = runnable[0] if len(runnable) == 1 else self._chance.choice(runnable)
            handle = thread.ready.popleft()
            if not thread.ready:
                runnable.remove(thread)
            if not handle.canceled:
                self._current = thread
                handle.context.run(handle.callback, *handle.args)
                self._current = self._outside
            self.steps += 1
            steps_left -= 1
            if not steps_left:
                raise Stuck(f"{thread.name} is never done: {handle.callback}")
        return True

    def _move_on_to(self, moment_us: int) -> None:
        if moment_us > self.now_us:
            self.now_us = moment_us
            self.since_begin = timedelta(microseconds=moment_us)

    def _pass_on_to(self, moment_us: int) -> None:
        self._move_on_to(moment_us)
        while self._timers and self._timers[0][0] <= self.now_us:
            _, _, handle = heappop(self._timers)
            if not handle.canceled:
                self._put(handle)

    def _put(self, handle: Handle) -> None:
        thread = handle.thread
        if thread.dead:
            self._left_behind.append(handle)
            return
        if not thread.ready and not thread.frozen:
            self._runnable.append(thread)
        thread.ready.append(handle)

    def _handle(self, callback: Callable[..., Any], args: tuple[Any, ...], context: Context | None) -> Handle:
        context = contextvars.copy_context() if context is None else context
        return Handle(self._thread_of(context), context, callback, args)

    def _thread_of(self, context: Context) -> SimulatedThread:
        thread = context.get(_thread)
        if thread is None:  # work in a context of its own stays with the thread that it comes from
            thread = self._current
            context.run(_thread.set, thread)
        return thread

    # What asyncio asks for.

    def time(self) -> float:
        return self.now_us / SECOND_US

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """It is about what is collected, and when that is nobody knows; ``unheard`` tells the same."""

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> "asyncio.Task[T]":
        context = contextvars.copy_context() if context is None else context
        thread = self._thread_of(context)
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append((task, thread))
        return task

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Handle:
        handle = self._handle(callback, args, context)
        self._put(handle)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Handle:
        return self.call_soon(callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Handle:
        handle = self._handle(callback, args, context)
        heappush(self._timers, (max(self.now_us, round(when * SECOND_US)), next(self._numbers), handle))
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Handle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        """Calls it here, after a while: nobody can stop it on its way, as a thread can't be stopped."""
        future: asyncio.Future[T] = self.create_future()

        def call() -> None:
            try:
                result = func(*args)
            except Exception as error:  # noqa: BLE001 - whoever waits for it is told
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        self.call_later(self._chance.random() * THREAD_SECONDS_MAX, call)
        return future


class SimulatedClock(SystemClock):
    """A machine's: it may be set forward and back. The spans that it measures are right."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self.wrong_by = timedelta(0)

    def now(self) -> datetime:
        return BEGINNING + self._loop.since_begin + self.wrong_by

    def monotonic(self) -> timedelta:
        return self._loop.since_begin
