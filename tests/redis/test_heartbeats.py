"""Signs of life in a Redis that dies, freezes and comes back empty; and what a reaper makes of that."""

import asyncio

import pytest

from schedora.adapters.redis.heartbeats import RedisHeartbeats
from schedora.application.maintenance.reaper import Reaper
from schedora.domain.worker import WorkerState
from tests.builders import HOUR, SECOND, an_incarnation
from tests.programs import PATIENCE_SECONDS
from tests.redis.reaching import impatience, reaching, until_up
from tests.redis.servers import RedisServer
from tests.unit.application.bench import HEARTBEAT_TIMEOUT, Bench, a_bench


@pytest.fixture
def bench() -> Bench:
    return a_bench()


def a_reaper(bench: Bench, heartbeats: RedisHeartbeats) -> Reaper:
    return Reaper(
        workers=bench.stores.workers,
        rescue=bench.rescue,
        prune=bench.prune,
        rate_limiter=bench.stores.rate_limiter,
        run_logs=bench.stores.run_logs,
        request_spans=bench.stores.request_spans,
        trace_retention=HOUR,
        events=bench.stores.events,
        heartbeats=heartbeats,
        metrics=bench.metrics,
        clock=bench.clock,
        randomness=bench.store.randomness,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        cleanup_after=HOUR,
    )


async def statuses(bench: Bench) -> list[WorkerState]:
    return [worker.status for worker in await bench.stores.workers.registered()]


async def test_emptied_server_knows_nobody_until_the_next_sign(redis_server: RedisServer) -> None:
    one = an_incarnation()
    async with reaching(redis_server.url) as link:
        heartbeats = RedisHeartbeats(link, lifetime=HEARTBEAT_TIMEOUT)
        assert await heartbeats.beat(one)
        redis_server.empty()
        assert await heartbeats.alive([one]) == frozenset()
        assert await heartbeats.beat(one)
        assert await heartbeats.alive([one]) == {one}


async def test_dead_server_notes_nothing_and_its_successor_does(redis_server: RedisServer) -> None:
    one = an_incarnation()
    async with reaching(redis_server.url) as link:
        heartbeats = RedisHeartbeats(link, lifetime=HEARTBEAT_TIMEOUT)
        redis_server.kill()
        assert not await heartbeats.beat(one)
        assert await heartbeats.alive([one]) == frozenset()
        await heartbeats.forget(one)
        redis_server.start()
        await until_up(link)
        assert await heartbeats.beat(one)
        assert await heartbeats.alive([one]) == {one}


async def test_sign_of_life_goes_by_itself(redis_server: RedisServer) -> None:
    one = an_incarnation()
    async with reaching(redis_server.url) as link:
        heartbeats = RedisHeartbeats(link, lifetime=SECOND / 50)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await heartbeats.beat(one)
            while await heartbeats.alive([one]):
                await asyncio.sleep(0.005)
    assert redis_server.ask("DBSIZE") <= 1, "the probe's"


async def test_reaper_spares_a_worker_that_redis_has_heard(redis_server: RedisServer, bench: Bench) -> None:
    suppressed, silent = await bench.stores.worker(), await bench.stores.worker()
    async with reaching(redis_server.url) as link:
        heartbeats = RedisHeartbeats(link, lifetime=HEARTBEAT_TIMEOUT)
        await bench.watched(HEARTBEAT_TIMEOUT + SECOND)
        await heartbeats.beat(suppressed.incarnation)
        await a_reaper(bench, heartbeats).round()
    states = {worker.incarnation: worker.status for worker in await bench.stores.workers.registered()}
    assert states == {suppressed.incarnation: WorkerState.ACTIVE, silent.incarnation: WorkerState.STALE}


@pytest.mark.parametrize("trouble", [RedisServer.kill, RedisServer.freeze, RedisServer.empty])
async def test_without_redis_the_row_alone_decides(
    redis_server: RedisServer, bench: Bench, trouble: object
) -> None:
    silent = await bench.stores.worker()
    async with reaching(redis_server.url) as link:
        heartbeats = RedisHeartbeats(link, lifetime=HEARTBEAT_TIMEOUT)
        await heartbeats.beat(silent.incarnation)
        await bench.watched(HEARTBEAT_TIMEOUT + SECOND)
        fresh = await bench.stores.worker()
        trouble(redis_server)  # type: ignore[operator] # a method of it
        with impatience(link):
            async with asyncio.timeout(PATIENCE_SECONDS):  # what holds up a reaper holds up every rescue
                for _ in range(20):
                    await a_reaper(bench, heartbeats).round()
        if redis_server.runs:
            redis_server.thaw()
    states = {worker.incarnation: worker.status for worker in await bench.stores.workers.registered()}
    assert states == {silent.incarnation: WorkerState.STALE, fresh.incarnation: WorkerState.ACTIVE}
