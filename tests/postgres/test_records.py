"""Pruning beside those who work on the same jobs and workflows, which memory's transactions never are."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.records import PostgresRecords
from schedora.application.ports.records import Pruned
from schedora.domain.ids import JobId, uuid7
from schedora.domain.retention import Retention
from tests.builders import a_new_job, a_request
from tests.contract.postgres import postgres_stores
from tests.contract.stores import Stores
from tests.contract.test_records import AT_ONCE, ended, flow, run_next, submit
from tests.programs import PATIENCE_SECONDS


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    async with Database(migrated_url) as database:
        yield database


@pytest.fixture
def stores(database: Database) -> Stores:
    return postgres_stores(database)


async def position(database: Database, sweep: str = "jobs") -> int:
    async with await psycopg.AsyncConnection.connect(database._url) as connection:
        cursor = await connection.execute("select position from sweeps where name = %s", [sweep])
        [(found,)] = await cursor.fetchall()
        return int(found)


async def test_a_job_that_a_command_has_in_hand_is_left_for_later(stores: Stores) -> None:
    held, free = await ended(stores, None), await ended(stores, None)
    async with stores.units.begin() as unit:
        await unit.jobs.lock([held.job_id])
        assert (await stores.records.prune_jobs(AT_ONCE, limit=10)).jobs == 1
    assert await stores.job_reader.get(free.job_id) is None
    assert (await stores.records.prune_jobs(AT_ONCE, limit=10)).jobs == 1


async def test_who_waits_for_a_job_being_pruned_finds_it_gone(stores: Stores, database: Database) -> None:
    job = await ended(stores, None)
    async with database.transaction() as session:
        pruned = await PostgresRecords(session).prune_jobs(AT_ONCE, limit=10)  # type: ignore[arg-type] # needs no more
        assert pruned.jobs == 1
        async with asyncio.timeout(PATIENCE_SECONDS):
            waiting = asyncio.create_task(_locked(stores, job.job_id))
            await _somebody_waits(database)
    assert await waiting == []


async def test_a_workflow_that_a_command_has_in_hand_is_left_for_later(stores: Stores) -> None:
    held, free = await flow(stores, a_request(), name="held"), await flow(stores, a_request(), name="free")
    for workflow_id in (held, free):
        await run_next(stores, workflow_id)
    async with stores.units.begin() as unit:
        await unit.workflows.lock([held])
        assert (await stores.records.prune_workflows(AT_ONCE, limit=10)).workflows == 1
    assert await stores.workflow_reader.get(free) is None
    assert len((await stores.workflow_reader.jobs(held)).jobs) == 1
    assert (await stores.records.prune_workflows(AT_ONCE, limit=10)).workflows == 1


async def test_one_prunes_at_a_time(stores: Stores, database: Database) -> None:
    assert await stores.records.prune_jobs(AT_ONCE, limit=10) == Pruned()
    for _ in range(3):
        await ended(stores, None)
    async with database.transaction() as session:
        first = await PostgresRecords(session).prune_jobs(AT_ONCE, limit=1)  # type: ignore[arg-type] # needs no more
        assert await stores.records.prune_jobs(AT_ONCE, limit=10) == Pruned()
    assert first.jobs == 1
    assert (await stores.records.prune_jobs(AT_ONCE, limit=10)).jobs == 2


async def test_many_reapers_remove_each_job_once(stores: Stores, database: Database) -> None:
    for _ in range(60):
        await ended(stores, None)

    async def reap() -> int:
        records = PostgresRecords(database)
        return sum([(await records.prune_jobs(AT_ONCE, limit=7)).jobs for _ in range(30)])

    assert sum(await asyncio.gather(*(reap() for _ in range(4)))) == 60
    stats = (await stores.queues.stats()).by_queue["default"]
    assert dict(stats.by_status) == {}


async def test_the_next_process_goes_on_where_the_last_one_ended(stores: Stores, database: Database) -> None:
    jobs = await submit(stores, *(a_request() for _ in range(6)))
    await stores.cancel(jobs[5].job_id)
    assert await PostgresRecords(database, scan_limit=4).prune_jobs(AT_ONCE, limit=10) == Pruned()
    assert await position(database) == int(jobs[3].job_id)
    pruned = await PostgresRecords(database, scan_limit=4).prune_jobs(AT_ONCE, limit=10)
    assert (pruned.jobs, pruned.more) == (1, False)
    assert await position(database) == 0, "and then starts over"


async def test_a_sweep_starts_behind_what_it_has_cleared_and_once_a_day_from_the_beginning(
    stores: Stores, database: Database
) -> None:
    """Entries of deleted rows stay in the index while anybody holds a snapshot: none may walk over them again."""
    jobs = await submit(stores, *(a_request() for _ in range(4)))
    for job in (jobs[0], jobs[1], jobs[3]):
        await stores.cancel(job.job_id)
    assert (await stores.records.prune_jobs(AT_ONCE, limit=1)).jobs == 1
    assert await position(database) == int(jobs[0].job_id)
    assert (await stores.records.prune_jobs(AT_ONCE, limit=10)).jobs == 2
    assert await position(database) == int(jobs[1].job_id), "not behind the one that waits"
    [late] = await stores.add(a_new_job(job_id=JobId(uuid7(1, 0))))
    for job in (late, jobs[2]):
        await stores.cancel(job.job_id)
    assert (await stores.records.prune_jobs(AT_ONCE, limit=10)).jobs == 1
    async with await psycopg.AsyncConnection.connect(database._url) as connection:
        await connection.execute("update sweeps set restarted_at = now() - interval '25 hours'")
    assert (await stores.records.prune_jobs(AT_ONCE, limit=10)).jobs == 0
    assert await position(database) == 0
    assert (await stores.records.prune_jobs(AT_ONCE, limit=10)).jobs == 1
    assert await stores.job_reader.get(late.job_id) is None


async def test_a_sweep_of_workflows_starts_behind_what_it_has_cleared(
    stores: Stores, database: Database
) -> None:
    first, second = await flow(stores, a_request(), name="a"), await flow(stores, a_request(), name="b")
    last = await flow(stores, a_request(), name="c")
    await run_next(stores, first)
    assert (await stores.records.prune_workflows(AT_ONCE, limit=10)).workflows == 1
    assert await position(database, "workflows") == int(first)
    await run_next(stores, second)
    await run_next(stores, last)
    assert (await stores.records.prune_workflows(AT_ONCE, limit=1)).workflows == 1
    assert (await stores.records.prune_workflows(AT_ONCE, limit=10)).workflows == 1
    assert await position(database, "workflows") == int(last)


async def test_nothing_younger_than_the_shortest_retention_is_looked_at(
    stores: Stores, database: Database
) -> None:
    """Which the ids tell: these are from the future."""
    job = await stores.submit_one()
    await stores.cancel(job.job_id)
    assert (await stores.records.prune_jobs(AT_ONCE, limit=10)).jobs == 0
    century = timedelta(days=36_500)
    kept = Retention(success=century, canceled=century, dead=century)
    await ended(stores, None)
    assert (await stores.records.prune_jobs(kept, limit=10)).jobs == 0, "before all time"


async def _locked(stores: Stores, job_id: JobId) -> list[object]:
    async with stores.units.begin() as unit:
        return list(await unit.jobs.lock([job_id]))


async def _somebody_waits(database: Database) -> None:
    async with await psycopg.AsyncConnection.connect(database._url, autocommit=True) as connection:
        while True:
            cursor = await connection.execute(
                "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            )
            if await cursor.fetchone():
                return
            await asyncio.sleep(0)
