"""What is known of a job, where only the real thing can show it."""

import asyncio

import psycopg

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.facts_reader import PostgresFactsReader
from tests.contract.postgres import postgres_stores


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
