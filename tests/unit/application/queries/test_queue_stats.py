"""How full the queues are: counted anew, or beside where many wait."""

import asyncio
from datetime import timedelta

import pytest

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.application.errors import StoreUnavailable
from schedora.application.ports.queues import Queues, QueueStats, Stats
from schedora.application.queries.queue_stats import ASKED_LATELY, MANY, PAUSE_MIN, REST, ReadQueueStats
from schedora.domain.job_state import JobState
from schedora.domain.queue import Queue
from schedora.domain.retention import QueueRetention
from tests.builders import SECOND


class CountedQueues:
    """So many jobs wait; counting them takes its time."""

    def __init__(self, clock: VirtualClock) -> None:
        self.waiting = 0
        self.counts = 0
        self.takes = timedelta(0)
        self.away = False
        self.may_end = asyncio.Event()
        self.may_end.set()
        self._clock = clock

    async def stats(self) -> Stats:
        self.counts += 1
        waiting = self.waiting
        await self.may_end.wait()
        if self.away:
            raise StoreUnavailable("away")
        self._clock.advance(self.takes)
        by_status = {JobState.PENDING: waiting, JobState.SUCCESS: 10 * MANY}
        return Stats(by_queue={"default": QueueStats(by_status=by_status)}, unhandled_types=())

    async def pause(self, name: str) -> Queue:
        raise NotImplementedError

    async def resume(self, name: str) -> Queue:
        raise NotImplementedError

    async def set_retention(self, name: str, retention: QueueRetention) -> Queue:
        raise NotImplementedError


class Bench:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.queues = CountedQueues(self.clock)
        queues: Queues = self.queues
        self.read = ReadQueueStats(queues, self.clock)

    async def asked(self) -> tuple[int, timedelta]:
        """How many wait as far as is known, and how long ago that was."""
        stats = await self.read()
        return stats.by_queue["default"].by_status[JobState.PENDING], stats.age

    async def later(self, span: timedelta) -> None:
        await self.settled()
        self.clock.advance(span)
        await self.settled()

    async def settled(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_few_are_counted_each_time_whatever_has_ended(bench: Bench) -> None:
    for waiting in (0, 5, MANY):
        bench.queues.waiting = waiting
        assert await bench.asked() == (waiting, timedelta(0))
    assert bench.queues.counts == 3
    assert not bench.clock.sleepers


async def test_of_many_the_last_count_is_told_at_once(bench: Bench) -> None:
    bench.queues.waiting = MANY + 1
    assert await bench.asked() == (MANY + 1, timedelta(0))
    bench.queues.waiting += 1
    bench.queues.may_end.clear()
    await bench.later(PAUSE_MIN / 2)
    assert await bench.asked() == (MANY + 1, PAUSE_MIN / 2)
    await bench.later(PAUSE_MIN / 2)  # a count is under way, and nobody waits for it
    assert bench.queues.counts == 2
    assert await bench.asked() == (MANY + 1, PAUSE_MIN)
    bench.queues.may_end.set()
    await bench.settled()
    assert await bench.asked() == (MANY + 2, timedelta(0))
    assert bench.queues.counts == 2
    await bench.read.close()


async def test_a_first_count_goes_on_when_who_asked_gives_up(bench: Bench) -> None:
    bench.queues.waiting = MANY + 1
    bench.queues.may_end.clear()
    for _ in range(2):
        asking = asyncio.create_task(bench.asked())
        await bench.settled()
        asking.cancel()
    bench.queues.may_end.set()

    assert await bench.asked() == (MANY + 1, timedelta(0))
    assert bench.queues.counts == 1


async def test_the_longer_a_count_takes_the_longer_is_the_pause(bench: Bench) -> None:
    bench.queues.waiting, bench.queues.takes = MANY + 1, 2 * SECOND
    await bench.asked()
    await bench.later(REST * 2 * SECOND - PAUSE_MIN)
    await bench.asked()
    assert bench.queues.counts == 1
    await bench.later(PAUSE_MIN)
    assert bench.queues.counts == 2
    await bench.read.close()


async def test_nothing_is_counted_for_who_has_stopped_asking(bench: Bench) -> None:
    bench.queues.waiting = MANY + 1
    await bench.asked()
    await bench.later(ASKED_LATELY + SECOND)
    counts = bench.queues.counts
    assert not bench.clock.sleepers
    bench.queues.waiting += 1
    bench.queues.may_end.clear()
    asking = [asyncio.create_task(bench.asked()) for _ in range(3)]
    await bench.settled()
    asking.pop().cancel()
    bench.queues.may_end.set()
    assert await asyncio.gather(*asking) == [(MANY + 2, timedelta(0))] * 2
    assert bench.queues.counts == counts + 1
    await bench.read.close()


async def test_once_few_wait_they_are_counted_each_time_again(bench: Bench) -> None:
    bench.queues.waiting = MANY + 1
    await bench.asked()
    bench.queues.waiting = 1
    await bench.later(PAUSE_MIN)
    assert not bench.clock.sleepers
    bench.queues.waiting = 2
    assert await bench.asked() == (2, timedelta(0))


async def test_a_store_that_is_away_is_told_to_who_asks_next(bench: Bench) -> None:
    bench.queues.waiting = MANY + 1
    await bench.asked()
    bench.queues.away = True
    await bench.later(PAUSE_MIN)
    with pytest.raises(StoreUnavailable):
        await bench.asked()
    bench.queues.away = False
    assert await bench.asked() == (MANY + 1, timedelta(0))
    await bench.read.close()
