"""How full the queues are: counted anew for whoever asks, unless so much waits that counting would cost too much.

Nobody keeps a count of what waits: each submission and each claim would pay for it. To count a hundred thousand jobs takes
some ten milliseconds, and nobody notices; to count millions again and again would. So where many wait they are counted beside,
with long pauses, as long as somebody keeps asking, and whoever asks gets the last count at once.
"""

import asyncio
from datetime import timedelta

import attrs

from schedora.application.errors import StoreUnavailable
from schedora.application.ports.clock import Clock
from schedora.application.ports.queues import Queues, Stats
from schedora.domain.job_state import ENDED

MANY = 100_000
"""So many jobs are counted anew each time; if there are more, the last count is told."""

REST = 30
"""So many times as long as a count took is the pause before the next: it takes no more of the store than a thirtieth."""

PAUSE_MIN = timedelta(seconds=1)

ASKED_LATELY = timedelta(seconds=60)
"""Nobody is counted for who has not asked for so long."""


class ReadQueueStats:
    """For one event loop. Raises ``StoreUnavailable``."""

    def __init__(self, queues: Queues, clock: Clock) -> None:
        self._queues = queues
        self._clock = clock
        self._last: Stats | None = None
        self._counted_at = self._asked_at = self._took = timedelta(0)
        self._first: asyncio.Task[Stats] | None = None
        self._counting: asyncio.Task[None] | None = None

    async def __call__(self) -> Stats:
        self._asked_at = self._clock.monotonic()
        if self._counting is not None and self._last is not None:
            return attrs.evolve(self._last, age=self._clock.monotonic() - self._counted_at)
        if self._last is not None and _waiting(self._last) <= MANY:
            return await self._count()
        # The first who asks, or asks again, waits for a count, and those who come meanwhile wait for the same. It goes on
        # when they give up: with tens of millions it takes longer than a scrape may, and the next one has it.
        if self._first is None:
            self._first = asyncio.create_task(self._count(), name="schedora-queue-stats")
            self._first.add_done_callback(self._forget_first)
        return await asyncio.shield(self._first)

    async def close(self) -> None:
        """Ends the counting."""
        tasks = [task for task in (self._first, self._counting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _count(self) -> Stats:
        began = self._clock.monotonic()
        stats = await self._queues.stats()
        self._last, self._counted_at = stats, began
        self._took = self._clock.monotonic() - began
        if self._counting is None and _waiting(stats) > MANY:
            self._counting = asyncio.create_task(self._keep_counting(), name="schedora-queue-stats")
            self._counting.add_done_callback(self._forget_counting)
        return stats

    async def _keep_counting(self) -> None:
        while self._last is not None and _waiting(self._last) > MANY:
            await self._clock.sleep(max(PAUSE_MIN, REST * self._took))
            if self._clock.monotonic() - self._asked_at > ASKED_LATELY:
                return
            try:
                await self._count()
            except StoreUnavailable:
                return  # whoever asks next is told

    def _forget_first(self, _task: "asyncio.Task[Stats]") -> None:
        self._first = None

    def _forget_counting(self, _task: "asyncio.Task[None]") -> None:
        self._counting = None


def _waiting(stats: Stats) -> int:
    """Jobs that are counted one by one: what has ended is not."""
    return sum(
        count
        for queue in stats.by_queue.values()
        for state, count in queue.by_status.items()
        if state not in ENDED
    )
