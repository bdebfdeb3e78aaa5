"""The ports, answered from memory. Offers the names that ``postgres.py`` offers."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import TypeVar

from dependency_injector import providers

from schedora.adapters.memory.events import MemoryEvents
from schedora.adapters.memory.examination import MemoryExamination
from schedora.adapters.memory.explain_inputs_reader import MemoryExplainInputsReader
from schedora.adapters.memory.health import MemoryHealth
from schedora.adapters.memory.heartbeats import MemoryHeartbeats
from schedora.adapters.memory.job_queue import MemoryJobQueue
from schedora.adapters.memory.job_reader import MemoryJobReader
from schedora.adapters.memory.job_writer import MemoryJobWriter
from schedora.adapters.memory.lineage_reader import MemoryLineageReader
from schedora.adapters.memory.process_reports import MemoryProcessReports
from schedora.adapters.memory.queues import MemoryQueues
from schedora.adapters.memory.rate_limiter import MemoryRateLimiter
from schedora.adapters.memory.records import MemoryRecords
from schedora.adapters.memory.request_spans import MemoryRequestSpans
from schedora.adapters.memory.run_locks import MemoryRunLocks
from schedora.adapters.memory.run_logs import MemoryRunLogs
from schedora.adapters.memory.shared_counters import MemorySharedCounters
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.unit_of_work import MemoryUnitOfWorkFactory
from schedora.adapters.memory.wakeup import MemoryWakeup
from schedora.adapters.memory.workers import MemoryWorkers
from schedora.adapters.memory.workflow_reader import MemoryWorkflowReader
from schedora.application.ports.clock import Clock
from schedora.application.ports.examination import Examination
from schedora.application.ports.health import Health
from schedora.application.ports.randomness import Randomness
from schedora.entrypoints.container.expected import expected
from schedora.entrypoints.settings import Settings

T = TypeVar("T")


def shared(port: T) -> Callable[[], AbstractAsyncContextManager[T]]:
    """Hands out one and the same adapter: memory has no connections to own."""

    @asynccontextmanager
    async def hand_out() -> AsyncIterator[T]:
        yield port

    return hand_out


async def nothing() -> None:
    """Memory is open as soon as it is there."""


class MemoryStorage:
    def __init__(self, *, settings: Settings, clock: Clock, randomness: Randomness) -> None:
        store = providers.Singleton(MemoryStore, clock=clock, randomness=randomness)
        self.units = providers.Singleton(MemoryUnitOfWorkFactory, store)
        self.job_writer = providers.Singleton(MemoryJobWriter, store)
        self.jobs = providers.Singleton(MemoryJobReader, store)
        self.lineage = providers.Singleton(MemoryLineageReader, store)
        self.explain_inputs_reader = providers.Singleton(MemoryExplainInputsReader, store)
        self.workflows = providers.Singleton(MemoryWorkflowReader, store)
        self.workers = providers.Singleton(MemoryWorkers, store)
        self.queues = providers.Singleton(MemoryQueues, store)
        self.rate_limiter = providers.Singleton(MemoryRateLimiter, store)
        self.records = providers.Singleton(MemoryRecords, store)
        self.request_spans = providers.Singleton(MemoryRequestSpans, store)
        self.run_logs = providers.Singleton(MemoryRunLogs, store)
        self.wakeup = providers.Singleton(MemoryWakeup, store)
        self.events = providers.Singleton(MemoryEvents, store)
        self.shared_counters = providers.Singleton(MemorySharedCounters, store)
        self.process_reports = providers.Singleton(MemoryProcessReports, store)
        self.schema = providers.Object("memory")
        self.health = providers.Singleton(MemoryHealth, store)
        self.examination = providers.Singleton(MemoryExamination, store, expected(settings))
        self.redis_examination: providers.Provider[Examination | None] = providers.Object(None)
        self.redis_health: providers.Provider[Health | None] = providers.Object(None)
        self.queue = providers.Singleton(MemoryJobQueue, store)
        self.queue_of_its_own = providers.Factory(shared, self.queue)
        self.workers_of_its_own = providers.Factory(shared, self.workers)
        self.heartbeats = providers.Singleton(
            MemoryHeartbeats, store, lifetime=timedelta(seconds=settings.worker_heartbeat_timeout)
        )
        run_locks = providers.Singleton(MemoryRunLocks, store, self.heartbeats)
        self.liveness_of_its_own = providers.Factory(shared, providers.List(self.heartbeats, run_locks))
        self.check_schema = providers.Object(nothing)
        self.open = providers.Object(nothing)
        self.close = providers.Object(nothing)
