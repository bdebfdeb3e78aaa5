"""The ports, answered by PostgreSQL. Offers the names that ``memory.py`` offers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TypeVar

from dependency_injector import providers

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.events import PostgresEvents
from schedora.adapters.postgres.examination import PostgresExamination
from schedora.adapters.postgres.explain_inputs_reader import PostgresExplainInputsReader
from schedora.adapters.postgres.health import PostgresHealth
from schedora.adapters.postgres.job_queue import PostgresJobQueue
from schedora.adapters.postgres.job_reader import PostgresJobReader
from schedora.adapters.postgres.job_writer import PostgresJobWriter
from schedora.adapters.postgres.lineage_reader import PostgresLineageReader
from schedora.adapters.postgres.process_reports import PostgresProcessReports
from schedora.adapters.postgres.queues import PostgresQueues
from schedora.adapters.postgres.rate_limiter import PostgresRateLimiter
from schedora.adapters.postgres.records import PostgresRecords
from schedora.adapters.postgres.request_spans import PostgresRequestSpans
from schedora.adapters.postgres.run_logs import PostgresRunLogs
from schedora.adapters.postgres.schema import REVISIONS, check_schema
from schedora.adapters.postgres.shared_counters import PostgresSharedCounters
from schedora.adapters.postgres.unit_of_work import PostgresUnitOfWorkFactory
from schedora.adapters.postgres.wakeup import PostgresWakeup
from schedora.adapters.postgres.workers import PostgresWorkers
from schedora.adapters.postgres.workflow_reader import PostgresWorkflowReader
from schedora.adapters.telemetry.gauges import RegisteredGauges
from schedora.adapters.telemetry.local_counters import LocalCounters
from schedora.application.ports.clock import Clock
from schedora.application.ports.examination import Examination
from schedora.application.ports.health import Health
from schedora.application.ports.metrics import Gauge
from schedora.entrypoints.container.expected import expected
from schedora.entrypoints.settings import Settings

T = TypeVar("T")


def show_use(gauges: RegisteredGauges, pool: str, database: Callable[[], Database]) -> None:
    """Lets the gauges tell how many connections are in use."""
    gauges.register(Gauge.DATABASE_CONNECTIONS, lambda: database().use().in_use, (pool, "in_use"))
    gauges.register(Gauge.DATABASE_CONNECTIONS, lambda: database().use().idle, (pool, "idle"))
    gauges.register(Gauge.DATABASE_CONNECTIONS_MAX, lambda: database().use().connections_max, (pool,))
    gauges.register(Gauge.DATABASE_CONNECTIONS_WAITING, lambda: database().use().waiting, (pool,))


def on_own_database(
    make_database: Callable[[], Database],
    make_port: Callable[[Database], T],
    gauges: RegisteredGauges,
    pool: str,
) -> Callable[[], AbstractAsyncContextManager[T]]:
    """Hands out an adapter on connections of its own, opened and closed with it, shown under the name of their pool."""

    @asynccontextmanager
    async def hand_out() -> AsyncIterator[T]:
        database = make_database()
        show_use(gauges, pool, lambda: database)
        await database.open()
        try:
            yield make_port(database)
        finally:
            await database.close()

    return hand_out


def patience_of_heartbeats(settings: Settings) -> timedelta:
    """A sign of life is tried anew many times before the worker that gives it is thought lost."""
    return timedelta(seconds=min(max(settings.worker_heartbeat_timeout / 9, 1.0), 10.0))


def opening(database: Database) -> Callable[[], Awaitable[None]]:
    """Connects, and looks whether the schema is the one that this version knows."""

    async def open_and_check() -> None:
        await database.open()
        try:
            await check_schema(database)
        except BaseException:
            await database.close()
            raise

    return open_and_check


async def _check_schema(database: Callable[[], Database]) -> None:
    await check_schema(database())


class PostgresStorage:
    def __init__(
        self,
        *,
        settings: Settings,
        database_url: str,
        clock: Clock,
        metrics: providers.Provider[LocalCounters],
        gauges: RegisteredGauges,
    ) -> None:
        database = providers.Singleton(
            Database,
            database_url,
            direct_url=settings.database_direct_url,
            pool_size=settings.database_pool_size,
            max_overflow=settings.database_max_overflow,
        )
        show_use(gauges, "shared", database)
        heartbeat_database = providers.Factory(
            Database,
            database_url,
            direct_url=settings.database_direct_url,
            pool_size=2,
            max_overflow=0,
            connect_timeout=patience_of_heartbeats(settings),
            command_timeout=patience_of_heartbeats(settings),
        )
        small_database = providers.Factory(
            Database, database_url, direct_url=settings.database_direct_url, pool_size=2, max_overflow=0
        )
        self.units = providers.Singleton(PostgresUnitOfWorkFactory, database)
        self.jobs = providers.Singleton(PostgresJobReader, database)
        self.lineage = providers.Singleton(PostgresLineageReader, database)
        self.explain_inputs_reader = providers.Singleton(PostgresExplainInputsReader, database)
        self.workflows = providers.Singleton(PostgresWorkflowReader, database)
        self.workers = providers.Singleton(PostgresWorkers, database)
        self.queues = providers.Singleton(PostgresQueues, database)
        self.rate_limiter = providers.Singleton(PostgresRateLimiter, database)
        self.records = providers.Singleton(PostgresRecords, database)
        self.request_spans = providers.Singleton(PostgresRequestSpans, database)
        self.run_logs = providers.Singleton(PostgresRunLogs, database)
        self.wakeup = providers.Singleton(PostgresWakeup, database)
        self.job_writer_that_notifies = partial(providers.Singleton, PostgresJobWriter, database)
        self.job_writer = self.job_writer_that_notifies(self.wakeup)
        self.events = providers.Singleton(PostgresEvents, database, metrics, clock)
        self.shared_counters = providers.Singleton(PostgresSharedCounters, database)
        self.process_reports = providers.Singleton(PostgresProcessReports, database)
        self.schema = providers.Object(REVISIONS[-1])
        self.health = providers.Singleton(PostgresHealth, database)
        self.examination = providers.Singleton(PostgresExamination, database, clock, expected(settings))
        self.redis_examination: providers.Provider[Examination | None] = providers.Object(None)
        self.redis_health: providers.Provider[Health | None] = providers.Object(None)
        self.queue = providers.Singleton(PostgresJobQueue, database)
        self.queue_of_its_own = providers.Factory(
            on_own_database, small_database.provider, providers.Object(PostgresJobQueue), gauges, "pipeline"
        )
        self.workers_of_its_own = providers.Factory(
            on_own_database,
            heartbeat_database.provider,
            providers.Object(PostgresWorkers),
            gauges,
            "heartbeat",
        )
        self.heartbeats: providers.Object[None] = providers.Object(None)
        self.liveness_of_its_own: providers.Object[None] = providers.Object(None)
        self.check_schema = providers.Object(partial(_check_schema, database))
        self.open = providers.Factory(opening, database)
        self.close = database.provided.close
