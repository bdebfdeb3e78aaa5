"""What only a real PostgreSQL can show of the register of workers."""

import asyncio
from datetime import timedelta

import psycopg

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.workers import PostgresWorkers
from tests.postgres.test_rate_limiter import a_waiting

HOUR = timedelta(hours=1)
GAP_MAX = timedelta(seconds=0.2)


async def test_nobody_looks_while_no_heartbeat_can_be_written(database: Database, migrated_url: str) -> None:
    """Such as while an index is made: workers, none of which can be heard, are not silent for that."""
    workers = PostgresWorkers(database)
    await workers.watch(HOUR)
    async with (
        await psycopg.AsyncConnection.connect(migrated_url) as other,
        await psycopg.AsyncConnection.connect(migrated_url, autocommit=True) as watching,
    ):
        await other.execute("lock table workers in share mode")
        asked = asyncio.create_task(workers.watch(GAP_MAX))
        await a_waiting(watching)
        await other.execute("select pg_sleep(0.3)")
        await other.commit()
        assert await asked == timedelta(0)
