"""What is known of a job, where only the real thing can show it."""

import asyncio
from datetime import timedelta

import psycopg

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.facts_reader import PostgresFactsReader
from schedora.domain.process import FRESH_FOR
from tests.contract.postgres import postgres_stores
from tests.contract.test_facts_reader import rate_for, report


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
    reader = PostgresFactsReader(database, patience_seconds=0.05)
    facts = await reader.facts(job.job_id)
    assert facts is not None
    async with await psycopg.AsyncConnection.connect(migrated_url) as other:
        await other.execute("lock table job_ready in access exclusive mode")
        async with asyncio.timeout(20):
            assert await reader.line(facts, ahead_max=10) is None
        await other.rollback()
    patient = PostgresFactsReader(database, patience_seconds=20)
    assert await patient.line(facts, ahead_max=10) is not None, "its connections are of use"
