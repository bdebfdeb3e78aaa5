"""A system that is given a Redis, as the container builds it: what it keeps there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from schedora.adapters.postgres.engine import Database
from schedora.application.ports.shared_counters import Series
from schedora.domain.limits import GRANTED, RateLimit, Take, TokenRequest
from schedora.domain.outcome import Succeeded
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.settings import load_settings
from schedora.entrypoints.system import System
from tests.contract.postgres import postgres_stores
from tests.programs import PATIENCE_SECONDS
from tests.redis.servers import RedisServer


@pytest.fixture
def system(database: Database, redis_server: RedisServer) -> System:
    url = f"{redis_server.url}?socket_timeout=30&socket_connect_timeout=30"  # a busy machine is slow
    settings = load_settings(redis_url=url, redis_prefix="mine")
    return build_system(settings, database_url=database._url)


@asynccontextmanager
async def opened(system: System) -> AsyncIterator[None]:
    """Once it has found Redis."""
    await system.open()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await system.check_health()).status != "healthy":
                pass
        yield
    finally:
        await system.close()


async def test_tokens_are_taken_there(system: System, redis_server: RedisServer, database: Database) -> None:
    limit = RateLimit(tokens=1, per=timedelta(hours=1), burst=1)
    request = TokenRequest((Take(bucket="queue:mail", limit=limit),))
    async with opened(system):
        [granted, refused] = await system.rate_limiter.take([request] * 2)
        assert (granted, refused.granted) == (GRANTED, False)
        assert redis_server.ask("EXISTS", "{mine}:bucket:queue:mail")
        assert await postgres_stores(database).rate_limiter.take([request]) == [GRANTED]
        redis_server.kill()
        [refused] = await system.rate_limiter.take([request])
        assert not refused.granted


async def test_what_has_succeeded_is_kept_there(
    system: System, redis_server: RedisServer, database: Database
) -> None:
    stores = postgres_stores(database)
    job = await stores.submit_one()
    [claimed] = await stores.claim(await stores.worker())
    assert await stores.complete(claimed, Succeeded())
    async with opened(system):
        for _ in range(2):
            assert await system.jobs.get(job.job_id) == await stores.job(job.job_id)
        assert [key for key in redis_server.ask("KEYS", "*") if str(job.job_id) in key]


async def test_it_tells_whether_redis_is_there(system: System, redis_server: RedisServer) -> None:
    up = Series("redis_up", ())
    async with opened(system):
        assert system.gauges.read()[up] == 1
        redis_server.kill()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await system.check_health()).status != "degraded":
                pass
        assert system.gauges.read()[up] == 0
