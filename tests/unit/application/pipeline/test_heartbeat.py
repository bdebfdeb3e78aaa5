"""Signs of life."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from schedora.application.pipeline.heartbeat import RETRY_AFTER, Heartbeat, Vitals
from schedora.domain.ids import IncarnationId
from schedora.domain.worker import Worker, WorkerState
from tests.builders import SECOND, an_incarnation
from tests.unit.application.bench import Bench

INTERVAL = 30 * SECOND


class Chest:
    """A heartbeat and what it passes on."""

    def __init__(self, bench: Bench, unit_random: Callable[[], float] | None = None) -> None:
        self.bench = bench
        self.heard: list[tuple[IncarnationId, WorkerState | None]] = []
        self.heartbeat = Heartbeat(
            workers=bench.stores.workers,
            clock=bench.clock,
            interval=INTERVAL,
            vitals=lambda: Vitals(cpu_percent=12.5, memory_percent=3.5),
            stuck_threads=lambda: 2,
            on_status=lambda incarnation, status: self.heard.append((incarnation, status)),
            unit_random=unit_random or bench.store.randomness.unit,
        )

    @asynccontextmanager
    async def beating(self) -> AsyncIterator["asyncio.Task[None]"]:
        task = asyncio.create_task(self.heartbeat.run())
        await self.settle()
        try:
            yield task
        finally:
            self.heartbeat.stop()
            await task

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def next_turn(self) -> None:
        assert self.bench.clock.advance_to_next_wait()
        await self.settle()

    async def seen(self, worker: Worker) -> Worker:
        [found] = await self.bench.stores.workers.named(worker.identity.worker_id)
        return found


@pytest.fixture
async def chest(bench: Bench) -> Chest:
    return Chest(bench)


async def test_beats_at_once_and_then_at_its_interval(chest: Chest) -> None:
    worker = await chest.bench.stores.worker()
    async with chest.beating():
        assert chest.heard == []
        chest.heartbeat.beat_for(worker.incarnation)
        await chest.settle()
        assert chest.heard == [(worker.incarnation, WorkerState.ACTIVE)]
        for turn in range(2, 5):
            await chest.next_turn()
            assert len(chest.heard) == turn
            seen = await chest.seen(worker)
            assert seen.last_heartbeat == worker.registered_at + (turn - 1) * INTERVAL
            assert (seen.cpu_percent, seen.memory_percent, seen.stuck_threads) == (12.5, 3.5, 2)


async def test_beats_when_asked(chest: Chest) -> None:
    worker = await chest.bench.stores.worker()
    chest.heartbeat.beat_for(worker.incarnation)
    async with chest.beating():
        await chest.bench.stores.workers.set_status([worker.incarnation], WorkerState.DRAINING)
        chest.heartbeat.ask()
        await chest.settle()
        assert [status for _, status in chest.heard] == [WorkerState.ACTIVE, WorkerState.DRAINING]


async def test_passes_on_that_the_worker_was_declared_lost_or_forgotten(chest: Chest) -> None:
    worker = await chest.bench.stores.worker()
    await chest.bench.stores.workers.set_status([worker.incarnation], WorkerState.STALE)
    chest.heartbeat.beat_for(worker.incarnation)
    async with chest.beating():
        stranger = an_incarnation()
        chest.heartbeat.beat_for(stranger)
        await chest.settle()
        assert chest.heard == [(worker.incarnation, WorkerState.STALE), (stranger, None)]


async def test_store_that_is_away_is_tried_again_soon(chest: Chest) -> None:
    worker = await chest.bench.stores.worker()
    chest.bench.faults.away = True
    chest.heartbeat.beat_for(worker.incarnation)
    async with chest.beating():
        for _ in range(3):
            before = chest.bench.clock.monotonic()
            await chest.next_turn()
            assert RETRY_AFTER / 2 <= chest.bench.clock.monotonic() - before <= RETRY_AFTER
        assert chest.heard == []
        chest.bench.faults.away = False
        await chest.next_turn()
        assert chest.heard == [(worker.incarnation, WorkerState.ACTIVE)]
        before = chest.bench.clock.monotonic()
        await chest.next_turn()
        assert chest.bench.clock.monotonic() - before == INTERVAL


@pytest.mark.parametrize(("drawn", "pause"), [(0.0, RETRY_AFTER / 2), (1.0, RETRY_AFTER)])
async def test_it_is_tried_again_after_between_half_of_the_span_and_all_of_it(
    bench: Bench, drawn: float, pause: timedelta
) -> None:
    chest = Chest(bench, unit_random=lambda: drawn)
    worker = await bench.stores.worker()
    bench.faults.away = True
    chest.heartbeat.beat_for(worker.incarnation)
    async with chest.beating():
        assert bench.clock.next_wait == bench.clock.now() + pause


async def test_it_says_once_that_beats_do_not_arrive_and_once_that_they_do_again(chest: Chest) -> None:
    worker = await chest.bench.stores.worker()
    chest.heartbeat.beat_for(worker.incarnation)
    with capture_logs() as logs:
        async with chest.beating():
            for away in (False, True, False, True):
                chest.bench.faults.away = away
                for _ in range(3):
                    await chest.next_turn()
    away_line = {
        "event": "heartbeats do not reach the store",
        "log_level": "warning",
        "error": "the memory store fails on demand: workers.beat",
    }
    back = {"event": "heartbeats reach the store again", "log_level": "info"}
    assert logs == [away_line, back, away_line]


async def test_stop_ends_it_at_once(chest: Chest) -> None:
    worker = await chest.bench.stores.worker()
    chest.heartbeat.beat_for(worker.incarnation)
    async with chest.beating() as task:
        chest.heartbeat.stop()
        await chest.settle()
        assert task.done()
        assert len(chest.heard) == 1
    assert chest.bench.clock.sleepers == 0


async def test_answer_that_comes_after_the_stop_is_told_to_nobody(chest: Chest) -> None:
    worker = await chest.bench.stores.worker()
    chest.heartbeat.beat_for(worker.incarnation)
    async with chest.bench.stores.units.begin():  # the store is busy
        task = asyncio.create_task(chest.heartbeat.run())
        await chest.settle()
        chest.heartbeat.stop()
    await task
    assert chest.heard == []
