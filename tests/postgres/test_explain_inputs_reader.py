"""What is known of a job, where only the real thing can show it."""

import asyncio
from datetime import timedelta

import psycopg

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.explain_inputs_reader import PostgresExplainInputsReader
from schedora.domain.process import FRESH_FOR
from tests.contract.postgres import postgres_stores
from tests.contract.test_explain_inputs_reader import rate_for, report


async def test_an_old_report_tells_no_rate(migrated_url: str, database: Database) -> None:
    stores = postgres_stores(database)
    await stores.worker(hostname="a", pid=1)
    job = await stores.submit_one()
    await report(stores, 1, "a", 1, 7)
    assert await rate_for(stores, job.job_id) == 7
    async with await psycopg.AsyncConnection.connect(migrated_url, autocommit=True) as other:
        age = FRESH_FOR + timedelta(seconds=1)
        await other.execute("update processes set seen_at = now() - %s::interval", [age])
    assert await rate_for(stores, job.job_id) is None


async def test_counting_that_takes_too_long_is_given_up(migrated_url: str, database: Database) -> None:
    stores = postgres_stores(database)
    await stores.worker()
    job = await stores.submit_one()
    reader = PostgresExplainInputsReader(database, patience_seconds=0.05)
    inputs = await reader.inputs(job.job_id)
    assert inputs is not None
    async with await psycopg.AsyncConnection.connect(migrated_url) as other:
        await other.execute("lock table job_ready in access exclusive mode")
        async with asyncio.timeout(20):
            assert await reader.position(inputs, ahead_max=10) is None
        await other.rollback()
    patient = PostgresExplainInputsReader(database, patience_seconds=20)
    assert await patient.position(inputs, ahead_max=10) is not None, "its connections are of use"
