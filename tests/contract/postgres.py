"""The PostgreSQL adapters as one ``Stores``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

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
from schedora.adapters.postgres.shared_counters import PostgresSharedCounters
from schedora.adapters.postgres.statements import written
from schedora.adapters.postgres.unit_of_work import PostgresUnitOfWorkFactory
from schedora.adapters.postgres.wakeup import PostgresWakeup
from schedora.adapters.postgres.workers import PostgresWorkers
from schedora.adapters.postgres.workflow_reader import PostgresWorkflowReader
from schedora.adapters.system.clock import SystemClock
from schedora.adapters.telemetry.local_counters import LocalCounters
from tests.contract.stores import EXPECTED, Stores

_AGE_JOBS = written("update jobs j set created_at = j.created_at - :span::interval")
_AGE = written("update token_buckets b set full_at = b.full_at - :span::interval")

LOOK_INTERVAL = timedelta(milliseconds=20)
"""Shorter than that of others: many tests wait for it."""


def postgres_stores(database: Database) -> Stores:
    @asynccontextmanager
    async def callers_transaction() -> AsyncIterator[object]:
        connection = await database.connect()
        try:
            async with connection.transaction():
                yield connection
        finally:
            await connection.close()

    async def age_buckets(span: timedelta) -> None:
        await database.fetch(_AGE, span=span)

    async def age_jobs(span: timedelta) -> None:
        await database.fetch(_AGE_JOBS, span=span)

    wakeup = PostgresWakeup(database)
    return Stores(
        units=PostgresUnitOfWorkFactory(database),
        job_writer=PostgresJobWriter(database, wakeup),
        job_queue=PostgresJobQueue(database),
        job_reader=PostgresJobReader(database),
        lineage_reader=PostgresLineageReader(database),
        explain_inputs_reader=PostgresExplainInputsReader(database),
        workflow_reader=PostgresWorkflowReader(database),
        workers=PostgresWorkers(database),
        queues=PostgresQueues(database),
        records=PostgresRecords(database),
        wakeup=wakeup,
        events=PostgresEvents(database, LocalCounters(), SystemClock(), look_interval=LOOK_INTERVAL),
        request_spans=PostgresRequestSpans(database),
        run_logs=PostgresRunLogs(database),
        shared_counters=PostgresSharedCounters(database),
        process_reports=PostgresProcessReports(database),
        health=PostgresHealth(database),
        examination=PostgresExamination(database, SystemClock(), EXPECTED),
        rate_limiter=PostgresRateLimiter(database),
        age_buckets=age_buckets,
        age_jobs=age_jobs,
        callers_transaction=callers_transaction,
    )
