"""The ports, answered by PostgreSQL with Redis as the fast path. Offers the names that ``postgres.py`` offers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TypeVar

from dependency_injector import providers

from schedora.adapters.redis.events import RedisEvents
from schedora.adapters.redis.examination import RedisExamination
from schedora.adapters.redis.health import RedisHealth
from schedora.adapters.redis.heartbeats import RedisHeartbeats
from schedora.adapters.redis.job_reader import RedisJobReader
from schedora.adapters.redis.link import RedisLink
from schedora.adapters.redis.rate_limiter import RedisRateLimiter
from schedora.adapters.redis.run_locks import RedisRunLocks
from schedora.adapters.redis.wakeup import RedisWakeup
from schedora.adapters.redis.worker_availability import RedisWorkerAvailability
from schedora.adapters.telemetry.gauges import RegisteredGauges
from schedora.adapters.telemetry.local_counters import LocalCounters
from schedora.application.ports.clock import Clock
from schedora.application.ports.metrics import Gauge
from schedora.application.ports.randomness import Randomness
from schedora.entrypoints.container.postgres import PostgresStorage
from schedora.entrypoints.settings import Settings

T = TypeVar("T")


def on_own_link(
    make_link: Callable[[], RedisLink], make_port: Callable[[RedisLink], T]
) -> Callable[[], AbstractAsyncContextManager[T]]:
    """Hands out an adapter on a link of its own, for another event loop, opened and closed with it."""

    @asynccontextmanager
    async def hand_out() -> AsyncIterator[T]:
        async with make_link() as link:
            yield make_port(link)

    return hand_out


def opening(
    open_storage: Callable[[], Awaitable[None]], close_storage: Callable[[], Awaitable[None]], link: RedisLink
) -> Callable[[], Awaitable[None]]:
    """Opens the link once the storage is open."""

    async def open_both() -> None:
        await open_storage()
        try:
            await link.open()
        except BaseException:
            await close_storage()
            raise

    return open_both


def closing(close_storage: Callable[[], Awaitable[None]], link: RedisLink) -> Callable[[], Awaitable[None]]:
    """Closes the link, then what it stands before."""

    async def close_both() -> None:
        try:
            await link.close()
        finally:
            await close_storage()

    return close_both


def liveness(link: RedisLink, *, lifetime: timedelta) -> tuple[RedisHeartbeats, RedisRunLocks]:
    """What a worker shows of itself, over one link."""
    return RedisHeartbeats(link, lifetime=lifetime), RedisRunLocks(link, lifetime=lifetime)


class RedisStorage:
    def __init__(
        self,
        storage: PostgresStorage,
        *,
        settings: Settings,
        clock: Clock,
        randomness: Randomness,
        redis_url: str,
        metrics: providers.Provider[LocalCounters],
        gauges: RegisteredGauges,
    ) -> None:
        make_link = providers.Factory(
            RedisLink, redis_url, prefix=settings.redis_prefix, unit_random=randomness.unit
        )
        link = providers.Singleton(make_link)
        gauges.register(Gauge.REDIS_UP, lambda: float(link().up))
        link_of_its_own = providers.Factory(make_link, aside=True)
        self.units = storage.units
        self.jobs = providers.Singleton(RedisJobReader, link, storage.jobs)
        self.explain_inputs_reader = storage.explain_inputs_reader
        self.workflows = storage.workflows
        self.workers = storage.workers
        self.queues = storage.queues
        self.rate_limiter = providers.Singleton(RedisRateLimiter, link, storage.rate_limiter)
        self.records = storage.records
        self.wakeup = providers.Singleton(
            RedisWakeup, link, otherwise=storage.wakeup, unit_random=randomness.unit
        )
        self.job_writer = storage.job_writer_that_notifies(
            self.wakeup, providers.Singleton(RedisWorkerAvailability, link)
        )
        self.events = providers.Singleton(RedisEvents, link, metrics, clock, otherwise=storage.events)
        self.shared_counters = storage.shared_counters
        self.run_logs = storage.run_logs
        self.request_spans = storage.request_spans
        self.lineage = storage.lineage
        self.process_reports = storage.process_reports
        self.schema = storage.schema
        self.check_schema = storage.check_schema
        self.health = storage.health
        self.examination = storage.examination
        self.redis_examination = providers.Singleton(RedisExamination, link)
        self.redis_health = providers.Singleton(RedisHealth, link)
        lifetime = timedelta(seconds=settings.worker_heartbeat_timeout)
        self.heartbeats = providers.Singleton(RedisHeartbeats, link, lifetime=lifetime)
        self.liveness_of_its_own = providers.Factory(
            on_own_link, link_of_its_own.provider, providers.Object(partial(liveness, lifetime=lifetime))
        )
        self.queue = storage.queue
        self.queue_of_its_own = storage.queue_of_its_own
        self.workers_of_its_own = storage.workers_of_its_own
        self.open = providers.Factory(opening, storage.open, storage.close, link)
        self.close = providers.Factory(closing, storage.close, link)
