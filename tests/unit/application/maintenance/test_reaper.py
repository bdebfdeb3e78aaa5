"""The reaper."""

import asyncio
import itertools
from datetime import timedelta

import attrs
import pytest

from schedora.adapters.memory.records import MemoryRecords
from schedora.application.errors import StoreUnavailable
from schedora.application.maintenance import prune
from schedora.application.maintenance.reaper import LONGEST_INTERVAL, Reaper
from schedora.application.ports.job_reader import JobFilter
from schedora.application.ports.records import Pruned, Records
from schedora.domain.job_state import JobState
from schedora.domain.limits import RateLimit, Take, TokenRequest
from schedora.domain.retention import Retention
from schedora.domain.worker import WorkerState
from tests.builders import HOUR, SECOND, a_request
from tests.unit.application.bench import Bench

TIMEOUT = 90 * SECOND


def a_reaper(bench: Bench, heartbeat_timeout: timedelta = TIMEOUT, records: Records | None = None) -> Reaper:
    return Reaper(
        workers=bench.stores.workers,
        events=bench.stores.events,
        rescue=bench.rescue,
        prune=attrs.evolve(bench.prune, records=records or bench.stores.records),
        rate_limiter=bench.stores.rate_limiter,
        clock=bench.clock,
        randomness=bench.store.randomness,
        heartbeat_timeout=heartbeat_timeout,
        cleanup_after=HOUR,
    )


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def statuses(bench: Bench) -> list[WorkerState]:
    return [worker.status for worker in await bench.stores.workers.registered()]


async def test_silent_worker_is_declared_lost_and_its_jobs_given_back(bench: Bench) -> None:
    job = await bench.stores.submit_one()
    silent, alive = await bench.stores.worker(), await bench.stores.worker()
    await bench.stores.claim(silent)
    reaper = a_reaper(bench)
    bench.clock.advance(TIMEOUT)
    await bench.stores.workers.beat(alive.incarnation, cpu_percent=None, memory_percent=None)
    assert await reaper.round() == 0
    bench.clock.advance(timedelta(microseconds=1))
    assert await reaper.round() == 1
    assert sorted(await statuses(bench)) == [WorkerState.ACTIVE, WorkerState.STALE]
    assert (await bench.stores.job(job.job_id)).status is JobState.RETRYING
    assert await reaper.round() == 0


async def test_long_job_of_a_living_worker_is_never_taken_for_lost(bench: Bench) -> None:
    job = await bench.stores.submit_one()
    worker = await bench.stores.worker()
    await bench.stores.claim(worker)
    reaper = a_reaper(bench)
    for _ in range(100):
        bench.clock.advance(TIMEOUT)
        await bench.stores.workers.beat(worker.incarnation, cpu_percent=None, memory_percent=None)
        assert await reaper.round() == 0
    assert (await bench.stores.job(job.job_id)).status is JobState.RUNNING


async def test_full_buckets_are_forgotten(bench: Bench) -> None:
    limit = RateLimit(tokens=1, per=HOUR, burst=1)
    await bench.stores.rate_limiter.take([TokenRequest((Take(bucket="b", limit=limit),))])
    bench.clock.advance(2 * HOUR)
    await a_reaper(bench).round()
    with bench.store.committed() as tables:
        assert not tables.buckets


async def test_worker_long_gone_is_forgotten(bench: Bench) -> None:
    worker = await bench.stores.worker()
    await bench.stores.workers.set_status([worker.incarnation], WorkerState.STOPPED)
    reaper = a_reaper(bench)
    bench.clock.advance(HOUR)
    await reaper.round()
    assert len(await statuses(bench)) == 1
    bench.clock.advance(SECOND)
    await reaper.round()
    assert await statuses(bench) == []


async def test_rounds_come_at_intervals_until_it_is_stopped(bench: Bench) -> None:
    reaper = a_reaper(bench)
    task = asyncio.create_task(reaper.run())
    await settle()
    await bench.stores.worker()
    moments = []
    for _ in range(20):
        assert bench.clock.advance_to_next_wait()
        await settle()
        moments.append(bench.clock.monotonic())
    pauses = [after - before for before, after in itertools.pairwise(moments)]
    assert all(0.8 * LONGEST_INTERVAL <= pause <= 1.2 * LONGEST_INTERVAL for pause in pauses)
    assert len(set(pauses)) > 10, "spread, so that several reapers do not meet"
    assert await statuses(bench) == [WorkerState.STALE]
    reaper.stop()
    await task
    assert bench.clock.sleepers == 0


async def test_short_timeout_is_looked_after_more_often(bench: Bench) -> None:
    reaper = a_reaper(bench, 6 * SECOND)
    task = asyncio.create_task(reaper.run())
    await settle()
    assert bench.clock.next_wait is not None
    assert bench.clock.next_wait - bench.clock.now() <= 1.2 * SECOND
    reaper.stop()
    await task


async def test_store_that_is_away_is_waited_for(bench: Bench) -> None:
    await bench.stores.submit(a_request())
    await bench.claim()
    bench.faults.away = True
    reaper = a_reaper(bench)
    task = asyncio.create_task(reaper.run())
    pauses = []
    for _ in range(12):
        await settle()
        before = bench.clock.monotonic()
        assert bench.clock.advance_to_next_wait()
        pauses.append(bench.clock.monotonic() - before)
    assert pauses[0] <= 0.5 * SECOND
    assert LONGEST_INTERVAL / 2 <= pauses[-1] <= LONGEST_INTERVAL
    bench.faults.away = False
    bench.clock.advance(TIMEOUT)
    await settle()
    bench.clock.advance_to_next_wait()
    await settle()
    assert await statuses(bench) == [WorkerState.STALE]
    bench.faults.away = True
    bench.clock.advance_to_next_wait()
    await settle()
    assert bench.clock.next_wait is not None
    assert bench.clock.next_wait - bench.clock.now() <= 0.5 * SECOND, "patience begins anew"
    reaper.stop()
    await task


async def test_round_tells_that_the_store_is_away(bench: Bench) -> None:
    bench.faults.fail("workers.declare_stale")
    with pytest.raises(StoreUnavailable):
        await a_reaper(bench).round()


async def test_round_removes_records_kept_for_long_enough(bench: Bench) -> None:
    job = await bench.stores.submit_one()
    await bench.stores.cancel(job.job_id)
    bench.clock.advance(2 * HOUR)
    await a_reaper(bench).round()
    assert await bench.stores.job_reader.get(job.job_id) is not None
    bench.clock.advance(SECOND)
    await a_reaper(bench).round()
    assert await bench.stores.job_reader.get(job.job_id) is None


async def test_reaper_that_is_behind_goes_on_without_a_pause(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "BATCH_MAX", 1)
    monkeypatch.setattr(prune, "ROUND_MAX", timedelta(microseconds=1))
    for job in await bench.stores.submit(*(a_request() for _ in range(3))):
        await bench.stores.cancel(job.job_id)
    bench.clock.advance(3 * HOUR)

    class Slow(MemoryRecords):
        async def prune_jobs(self, retention: Retention, *, limit: int) -> Pruned:
            bench.clock.advance(timedelta(microseconds=1))
            return await super().prune_jobs(retention, limit=limit)

    reaper = a_reaper(bench, records=Slow(bench.store))
    began = bench.clock.monotonic()
    task = asyncio.create_task(reaper.run())
    for _ in range(20):
        await settle()
        if not (await bench.stores.job_reader.page(JobFilter(), limit=1, after=None)).jobs:
            break
        bench.clock.advance_to_next_wait()
    assert 0 * SECOND < bench.clock.monotonic() - began < SECOND
    await settle()
    bench.clock.advance_to_next_wait()
    await settle()
    assert bench.clock.next_wait is not None
    assert bench.clock.next_wait - bench.clock.now() >= 0.8 * LONGEST_INTERVAL, "nothing is left to do"
    reaper.stop()
    await task
