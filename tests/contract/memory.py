"""The memory adapters as one ``Stores``."""

from datetime import datetime, timedelta

import attrs

from schedora.adapters.memory.events import MemoryEvents
from schedora.adapters.memory.examination import MemoryExamination
from schedora.adapters.memory.explain_inputs_reader import MemoryExplainInputsReader
from schedora.adapters.memory.health import MemoryHealth
from schedora.adapters.memory.job_queue import MemoryJobQueue
from schedora.adapters.memory.job_reader import MemoryJobReader
from schedora.adapters.memory.job_writer import MemoryJobWriter
from schedora.adapters.memory.lineage_reader import MemoryLineageReader
from schedora.adapters.memory.process_reports import MemoryProcessReports
from schedora.adapters.memory.queues import MemoryQueues
from schedora.adapters.memory.rate_limiter import MemoryRateLimiter
from schedora.adapters.memory.records import MemoryRecords
from schedora.adapters.memory.request_spans import MemoryRequestSpans
from schedora.adapters.memory.run_logs import MemoryRunLogs
from schedora.adapters.memory.shared_counters import MemorySharedCounters
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.unit_of_work import MemoryUnitOfWorkFactory
from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.memory.wakeup import MemoryWakeup
from schedora.adapters.memory.workers import MemoryWorkers
from schedora.adapters.memory.workflow_reader import MemoryWorkflowReader
from schedora.adapters.system.randomness import SeededRandomness
from tests.contract.stores import EXPECTED, Stores


class TickingClock(VirtualClock):
    """Moves on a little at each look, as a database's clock does: no two instants are the same."""

    def now(self) -> datetime:
        self.advance(timedelta(microseconds=1))
        return super().now()


def memory_stores(store: MemoryStore) -> Stores:
    async def age_buckets(span: timedelta) -> None:
        async with store.transaction() as tables:
            for name, bucket in list(tables.buckets.items()):
                tables.buckets[name] = attrs.evolve(bucket, full_at=bucket.full_at - span)

    async def age_jobs(span: timedelta) -> None:
        async with store.transaction() as tables:
            for job_id, job in list(tables.jobs.items()):
                tables.jobs[job_id] = attrs.evolve(job, created_at=job.created_at - span)

    units = MemoryUnitOfWorkFactory(store)
    return Stores(
        units=units,
        job_writer=MemoryJobWriter(store),
        job_queue=MemoryJobQueue(store),
        job_reader=MemoryJobReader(store),
        lineage_reader=MemoryLineageReader(store),
        explain_inputs_reader=MemoryExplainInputsReader(store),
        workflow_reader=MemoryWorkflowReader(store),
        workers=MemoryWorkers(store),
        queues=MemoryQueues(store),
        records=MemoryRecords(store),
        wakeup=MemoryWakeup(store),
        events=MemoryEvents(store),
        request_spans=MemoryRequestSpans(store),
        run_logs=MemoryRunLogs(store),
        shared_counters=MemorySharedCounters(store),
        process_reports=MemoryProcessReports(store),
        health=MemoryHealth(store),
        examination=MemoryExamination(store, EXPECTED),
        rate_limiter=MemoryRateLimiter(store),
        age_buckets=age_buckets,
        age_jobs=age_jobs,
        callers_transaction=units.begin,
    )


def a_memory_store(seed: int = 1) -> MemoryStore:
    clock = TickingClock()
    return MemoryStore(clock=clock, randomness=SeededRandomness(seed, clock))
