"""Time that moves only when it is told to: a day of retries takes milliseconds and runs the same each time."""

import asyncio
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush
from itertools import count
from threading import Lock
from typing import Final, NamedTuple

BEGINNING: Final = datetime(2030, 1, 1, tzinfo=UTC)


class _Sleeper(NamedTuple):
    deadline: datetime
    number: int
    """Of those with one deadline, who lay down first is woken first."""
    loop: asyncio.AbstractEventLoop
    awake: "asyncio.Future[None]"

    def wake(self) -> None:
        # Its loop decides: the sleeper may have been canceled since.
        self.loop.call_soon_threadsafe(_finish, self.awake)


class VirtualClock:
    """Knows who sleeps. ``advance`` and ``advance_to_next_wait`` move it and wake those that are due, in the
    order of their deadlines; they return before the woken run. May be used from several event loops.
    """

    def __init__(self, start: datetime = BEGINNING) -> None:
        self._start = start
        self._now = start
        self._guard = Lock()
        self._numbers = count()
        self._sleepers: list[_Sleeper] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> timedelta:
        return self._now - self._start

    async def sleep(self, span: timedelta) -> None:
        if span <= timedelta(0):
            await asyncio.sleep(0)
            return
        sleeper = self._lie_down(span)
        try:
            await sleeper.awake
        finally:
            self._get_up(sleeper)

    async def wait(self, event: asyncio.Event, at_most: timedelta | None) -> bool:
        if at_most is None:
            await event.wait()
            return True
        if event.is_set() or at_most <= timedelta(0):
            await asyncio.sleep(0)
            return event.is_set()
        sleeper = self._lie_down(at_most)
        happening = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait((happening, sleeper.awake), return_when=asyncio.FIRST_COMPLETED)
            return happening.done()
        finally:
            happening.cancel()
            self._get_up(sleeper)

    @property
    def next_wait(self) -> datetime | None:
        """When the first sleeper is to be woken; None when nobody sleeps."""
        with self._guard:
            return self._sleepers[0].deadline if self._sleepers else None

    @property
    def sleepers(self) -> int:
        """How many wait for time to pass."""
        with self._guard:
            return len(self._sleepers)

    def advance(self, span: timedelta) -> None:
        """Moves on by ``span``. Raises ``ValueError`` for a negative one: time does not run backwards."""
        if span < timedelta(0):
            raise ValueError(f"time can't run backwards: {span}")
        self._advance_to(self._now + span)

    def advance_to_next_wait(self) -> bool:
        """Moves on to the next deadline; False, and no move, when nobody sleeps."""
        deadline = self.next_wait
        if deadline is None:
            return False
        self._advance_to(max(deadline, self._now))
        return True

    def _advance_to(self, instant: datetime) -> None:
        with self._guard:
            self._now = instant
            while self._sleepers and self._sleepers[0].deadline <= instant:
                heappop(self._sleepers).wake()

    def _lie_down(self, span: timedelta) -> _Sleeper:
        loop = asyncio.get_running_loop()
        with self._guard:
            sleeper = _Sleeper(self._now + span, next(self._numbers), loop, loop.create_future())
            heappush(self._sleepers, sleeper)
        return sleeper

    def _get_up(self, sleeper: _Sleeper) -> None:
        """Takes a sleeper out that did not sleep to the end."""
        if sleeper.awake.done() and not sleeper.awake.cancelled():
            return
        with self._guard:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)
                heapify(self._sleepers)


def _finish(awake: "asyncio.Future[None]") -> None:
    if not awake.done():
        awake.set_result(None)
