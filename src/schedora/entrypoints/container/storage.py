"""The two storages, told apart here and nowhere else: both containers offer the same names."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from dependency_injector import containers, providers

from schedora.adapters.memory.health import MemoryHealth
from schedora.adapters.memory.intake import MemoryJobIntake
from schedora.adapters.memory.job_queue import MemoryJobQueue
from schedora.adapters.memory.job_reader import MemoryJobReader
from schedora.adapters.memory.queues import MemoryQueues
from schedora.adapters.memory.records import MemoryRecords
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.totals import MemoryTotals
from schedora.adapters.memory.unit_of_work import MemoryUnitOfWorkFactory
from schedora.adapters.memory.wakeup import MemoryWakeup
from schedora.adapters.memory.workers import MemoryWorkers
from schedora.adapters.memory.workflow_reader import MemoryWorkflowReader
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.health import PostgresHealth
from schedora.adapters.postgres.intake import PostgresJobIntake
from schedora.adapters.postgres.job_queue import PostgresJobQueue
from schedora.adapters.postgres.job_reader import PostgresJobReader
from schedora.adapters.postgres.queues import PostgresQueues
from schedora.adapters.postgres.records import PostgresRecords
from schedora.adapters.postgres.schema import check_schema
from schedora.adapters.postgres.totals import PostgresTotals
from schedora.adapters.postgres.unit_of_work import PostgresUnitOfWorkFactory
from schedora.adapters.postgres.wakeup import PostgresWakeup
from schedora.adapters.postgres.workers import PostgresWorkers
from schedora.adapters.postgres.workflow_reader import PostgresWorkflowReader

T = TypeVar("T")


def shared(port: T) -> Callable[[], AbstractAsyncContextManager[T]]:
    """Hands out one and the same adapter: memory has no connections to own."""

    @asynccontextmanager
    async def hand_out() -> AsyncIterator[T]:
        yield port

    return hand_out


def on_own_database(
    make_database: Callable[[], Database], make_port: Callable[[Database], T]
) -> Callable[[], AbstractAsyncContextManager[T]]:
    """Hands out an adapter on connections of its own, opened and closed with it."""

    @asynccontextmanager
    async def hand_out() -> AsyncIterator[T]:
        database = make_database()
        await database.open()
        try:
            yield make_port(database)
        finally:
            await database.close()

    return hand_out


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


async def nothing() -> None:
    """Memory is open as soon as it is there."""


class MemoryStorage(containers.DeclarativeContainer):
    clock: providers.Dependency[Any] = providers.Dependency()
    randomness: providers.Dependency[Any] = providers.Dependency()

    store = providers.Singleton(MemoryStore, clock=clock, randomness=randomness)
    units = providers.Singleton(MemoryUnitOfWorkFactory, store)
    intake = providers.Singleton(MemoryJobIntake, store)
    jobs = providers.Singleton(MemoryJobReader, store)
    workflows = providers.Singleton(MemoryWorkflowReader, store)
    workers = providers.Singleton(MemoryWorkers, store)
    queues = providers.Singleton(MemoryQueues, store)
    records = providers.Singleton(MemoryRecords, store)
    wakeup = providers.Singleton(MemoryWakeup, store)
    totals = providers.Singleton(MemoryTotals, store)
    health = providers.Singleton(MemoryHealth, store)
    queue = providers.Singleton(MemoryJobQueue, store)
    queue_of_its_own = providers.Factory(shared, queue)
    workers_of_its_own = providers.Factory(shared, workers)
    open = providers.Object(nothing)
    close = providers.Object(nothing)


class PostgresStorage(containers.DeclarativeContainer):
    settings: providers.Dependency[Any] = providers.Dependency()
    database_url = providers.Dependency(instance_of=str)

    database = providers.Singleton(
        Database,
        database_url,
        pool_size=settings.provided.database_pool_size,
        max_overflow=settings.provided.database_max_overflow,
    )
    small_database = providers.Factory(Database, database_url, pool_size=2, max_overflow=0)
    units = providers.Singleton(PostgresUnitOfWorkFactory, database)
    intake = providers.Singleton(PostgresJobIntake, database)
    jobs = providers.Singleton(PostgresJobReader, database)
    workflows = providers.Singleton(PostgresWorkflowReader, database)
    workers = providers.Singleton(PostgresWorkers, database)
    queues = providers.Singleton(PostgresQueues, database)
    records = providers.Singleton(PostgresRecords, database)
    wakeup = providers.Singleton(PostgresWakeup, database)
    totals = providers.Singleton(PostgresTotals, database)
    health = providers.Singleton(PostgresHealth, database)
    queue = providers.Singleton(PostgresJobQueue, database)
    queue_of_its_own = providers.Factory(
        on_own_database, small_database.provider, providers.Object(PostgresJobQueue)
    )
    workers_of_its_own = providers.Factory(
        on_own_database, small_database.provider, providers.Object(PostgresWorkers)
    )
    open = providers.Factory(opening, database)
    close = database.provided.close
