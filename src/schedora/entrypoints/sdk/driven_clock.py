"""A virtual clock that knows for whom each wait is, and that a test's own waits move on.

While the worker and the runs of handlers wait, they wait for the test. When the test waits, the clock lets
everything come to rest and then jumps to the next moment at which somebody wants to be woken, again and again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Final

from attrs import frozen

from schedora.adapters.memory.virtual_clock import VirtualClock

NEVER: Final = timedelta(days=36_500)
"""As good as without end."""

_BEYOND_REACH: Final = NEVER / 2

acting: ContextVar[object] = ContextVar("schedora_acting", default=None)
"""For whom this code runs: the worker, a run, or, by default, the test."""


@frozen(kw_only=True, eq=False)
class _Wait:
    who: object
    event: asyncio.Event
    deadline: datetime | None

    def lasts(self, now: datetime) -> bool:
        """False from the moment at which the waiter is due to wake, though it may not have woken yet."""
        return not self.event.is_set() and (self.deadline is None or now < self.deadline)


class DrivenClock:
    """For one event loop. ``settle`` is awaited to let everything come to rest."""

    def __init__(self, start: datetime) -> None:
        self.settle: Callable[[], Awaitable[None]] = _nothing_to_settle
        self.stirred = asyncio.Event()
        """Set whenever somebody begins to wait."""
        self._clock = VirtualClock(start)
        self._waits: set[_Wait] = set()
        self._driving = asyncio.Lock()

    def now(self) -> datetime:
        return self._clock.now()

    def monotonic(self) -> timedelta:
        return self._clock.monotonic()

    async def sleep(self, span: timedelta) -> None:
        await self.wait(asyncio.Event(), span)

    async def wait(self, event: asyncio.Event, at_most: timedelta | None) -> bool:
        """As the port says; a test that waits without end returns (False) when nothing will happen any more."""
        who = acting.get()
        if who is None:
            return await self._drive(event, NEVER if at_most is None else at_most)
        deadline = None if at_most is None else self.now() + at_most
        wait = _Wait(who=who, event=event, deadline=deadline)
        self._waits.add(wait)
        self.stirred.set()
        try:
            return await self._clock.wait(event, at_most)
        finally:
            self._waits.remove(wait)

    def waits(self, who: object) -> bool:
        """Whether ``who`` waits for time to pass, or for an event that has not happened."""
        now = self.now()
        return any(wait.who == who and wait.lasts(now) for wait in self._waits)

    async def come_to_rest(self) -> None:
        """Lets all that can happen at this moment happen."""
        async with self._driving:
            await self.settle()

    async def _drive(self, event: asyncio.Event, at_most: timedelta) -> bool:
        async with self._driving:
            deadline = self.now() + max(at_most, timedelta(0))
            while True:
                await self.settle()
                if event.is_set():
                    return True
                wake_at = self._clock.next_wait
                left = deadline - self.now()
                if wake_at is None or wake_at > deadline or left <= timedelta(0):
                    break
                if wake_at - self.now() > _BEYOND_REACH:
                    return False
                self._clock.advance_to_next_wait()
            if left < _BEYOND_REACH:
                self._clock.advance(max(left, timedelta(0)))
                await self.settle()
            return event.is_set()


async def _nothing_to_settle() -> None:
    """Without an engine everything is at rest."""
