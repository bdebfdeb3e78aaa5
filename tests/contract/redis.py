"""The Redis adapters over those of PostgreSQL as one ``Stores``."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from random import random

from attrs import evolve

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.job_writer import PostgresJobWriter
from schedora.adapters.postgres.wakeup import PostgresWakeup
from schedora.adapters.redis.events import RedisEvents
from schedora.adapters.redis.health import RedisHealth
from schedora.adapters.redis.job_reader import RedisJobReader
from schedora.adapters.redis.link import RedisLink
from schedora.adapters.redis.rate_limiter import RedisRateLimiter
from schedora.adapters.redis.wakeup import RedisWakeup
from schedora.adapters.redis.worker_availability import RedisWorkerAvailability
from schedora.adapters.system.clock import SystemClock
from schedora.adapters.telemetry.local_counters import LocalCounters
from schedora.domain.ids import JobId
from schedora.domain.job import Job
from tests.contract.postgres import postgres_stores
from tests.contract.stores import Stores
from tests.redis.servers import RedisServer

PREFIX = "contract"
_MICROSECOND = timedelta(microseconds=1)


class ThriceReader(RedisJobReader):
    """Answers from the store, from the store into the cache, and from the cache; the contract is held to the last."""

    async def get(self, job_id: JobId) -> Job | None:
        for _ in range(2):
            await super().get(job_id)
        return await super().get(job_id)


def redis_stores(database: Database, link: RedisLink) -> Stores:
    async def age_buckets(span: timedelta) -> None:
        seconds, microseconds = map(int, await link.call("TIME"))
        for key in await link.call("KEYS", link.keys.bucket("*")):
            full_at, rest = (await link.call("GET", key) or b"0 0").decode().split()
            aged = int(full_at) - span // _MICROSECOND
            life_us = aged - seconds * 1_000_000 - microseconds
            await link.call("SET", key, f"{aged} {rest}", "PX", max(1, life_us // 1_000))

    postgres = postgres_stores(database)
    wakeup = RedisWakeup(link, otherwise=PostgresWakeup(database), unit_random=random)
    return evolve(
        postgres,
        health=RedisHealth(link),
        wakeup=wakeup,
        job_writer=PostgresJobWriter(database, wakeup, RedisWorkerAvailability(link)),
        job_reader=ThriceReader(link, postgres.job_reader),
        events=RedisEvents(link, LocalCounters(), SystemClock(), otherwise=postgres.events),
        rate_limiter=RedisRateLimiter(link, postgres.rate_limiter),
        age_buckets=age_buckets,
    )


@contextmanager
def emptied(server: RedisServer) -> Iterator[None]:
    """Nothing is there at first; what is there in the end is ours and goes away by itself."""
    server.empty()
    yield
    keys = server.ask("KEYS", "*")
    assert [key for key in keys if not key.startswith(f"{{{PREFIX}}}:")] == []
    assert server.lasting("*") == []
