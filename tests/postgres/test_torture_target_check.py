"""Before a database is tortured that was named, it is looked at, and somebody asked."""

import asyncio

from schedora import Schedora
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.workers import PostgresWorkers
from schedora_torture.target_check import inhabitants
from tests.builders import an_identity, an_incarnation
from tests.unit.entrypoints.cli.conftest import invoke, refused


def test_an_empty_database_has_no_inhabitants(migrated_url: str) -> None:
    found = asyncio.run(inhabitants(migrated_url))
    assert (found.jobs, found.workers) == (0, 0)


def test_one_without_tables_is_refused(database_url: str) -> None:
    refused(invoke("torture", "--database-url", database_url), 1, "no tables")


def test_one_that_holds_jobs_is_refused_where_nobody_can_be_asked(migrated_url: str) -> None:
    with Schedora(database_url=migrated_url) as app:
        app.submit_sync("echo", {})
    refused(invoke("torture", "--database-url", migrated_url), 2, "holds 1 job", "--yes")


def test_one_with_live_workers_is_refused_whoever_agrees(migrated_url: str) -> None:
    async def register() -> None:
        async with Database(migrated_url) as database:
            await PostgresWorkers(database).register(an_identity(), an_incarnation())

    asyncio.run(register())
    refused(invoke("torture", "--database-url", migrated_url, "--yes"), 2, "1 live worker")
