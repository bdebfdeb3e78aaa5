"""Python programs on a real database: their own transactions, with every kind of connection."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

import psycopg
import pytest

from schedora import JobState, JobView, NotFound, Schedora, StoreUnavailable
from tests.postgres.connections import ASYNC, SYNC


class Abandoned(Exception):
    """What makes a caller's transaction roll back."""


@pytest.fixture
async def app(migrated_url: str) -> AsyncIterator[Schedora]:
    async with Schedora(database_url=migrated_url) as app:
        yield app


@pytest.fixture
def sync_app(migrated_url: str) -> Iterator[Schedora]:
    with Schedora(database_url=migrated_url) as app:
        yield app


@pytest.mark.parametrize("transaction", ASYNC)
async def test_a_job_exists_if_its_callers_transaction_commits(
    app: Schedora, migrated_url: str, transaction: Callable[[str], AbstractAsyncContextManager[object]]
) -> None:
    async with transaction(migrated_url) as connection:
        job = await app.submit("echo", {"a": 1}, connection=connection)
        with pytest.raises(NotFound):
            await app.get_job(job)
    assert (await app.get_job(job)).payload == {"a": 1}


@pytest.mark.parametrize("transaction", ASYNC)
async def test_a_job_is_gone_with_its_callers_transaction(
    app: Schedora, migrated_url: str, transaction: Callable[[str], AbstractAsyncContextManager[object]]
) -> None:
    jobs: list[JobView[Any]] = []

    async def submit_in_vain() -> None:
        async with transaction(migrated_url) as connection:
            jobs.extend(
                await app.submit_many([app.prepare("echo"), app.prepare("echo")], connection=connection)
            )
            raise Abandoned

    with pytest.raises(Abandoned):
        await submit_in_vain()
    assert len(jobs) == 2
    for job in jobs:
        with pytest.raises(NotFound):
            await app.get_job(job)


@pytest.mark.parametrize("transaction", SYNC)
def test_a_job_exists_if_its_callers_synchronous_transaction_commits(
    sync_app: Schedora, migrated_url: str, transaction: Callable[[str], AbstractContextManager[object]]
) -> None:
    with transaction(migrated_url) as connection:
        job = sync_app.submit_sync("echo", {"a": 1}, connection=connection)
        with pytest.raises(NotFound):
            sync_app.get_job_sync(job)
    assert sync_app.get_job_sync(job).payload == {"a": 1}


@pytest.mark.parametrize("transaction", SYNC)
def test_a_job_is_gone_with_its_callers_synchronous_transaction(
    sync_app: Schedora, migrated_url: str, transaction: Callable[[str], AbstractContextManager[object]]
) -> None:
    jobs: list[JobView[Any]] = []

    def submit_in_vain() -> None:
        with transaction(migrated_url) as connection:
            jobs.append(sync_app.submit_sync("echo", connection=connection))
            raise Abandoned

    with pytest.raises(Abandoned):
        submit_in_vain()
    with pytest.raises(NotFound):
        sync_app.get_job_sync(jobs[0])


@pytest.mark.parametrize("commits", [True, False])
def test_a_workflow_is_part_of_its_callers_transaction(
    sync_app: Schedora, migrated_url: str, commits: bool
) -> None:
    flow = sync_app.workflow("order-42")
    first = flow.add(sync_app.prepare("echo"), key="first")
    flow.add(sync_app.prepare("echo"), key="second", after=[first])
    with psycopg.connect(migrated_url) as connection:
        run = flow.submit_sync(connection=connection)
        if not commits:
            connection.rollback()
    if commits:
        assert [job.key for job in sync_app.get_workflow_sync(run).jobs] == ["first", "second"]
    else:
        with pytest.raises(NotFound):
            sync_app.get_workflow_sync(run)


async def test_a_synchronous_connection_can_be_used_beside_a_running_event_loop(
    app: Schedora, migrated_url: str
) -> None:
    with psycopg.connect(migrated_url) as connection:
        job = app.submit_sync("echo", connection=connection)
    assert (await app.get_job(job)).status is JobState.PENDING


@pytest.mark.parametrize("transaction", ASYNC)
async def test_an_asynchronous_connection_is_refused_by_the_synchronous_forms_and_stays_usable(
    app: Schedora, migrated_url: str, transaction: Callable[[str], AbstractAsyncContextManager[object]]
) -> None:
    flow = app.workflow("order-42")
    async with transaction(migrated_url) as connection:
        with pytest.raises(TypeError, match="asynchronous"):
            app.submit_sync("echo", connection=connection)
        with pytest.raises(TypeError, match="asynchronous"):
            flow.submit_sync(connection=connection)
        job = await app.submit("echo", connection=connection)
    assert (await app.get_job(job)).status is JobState.PENDING


async def test_one_round_trip_stores_a_batch_in_order(app: Schedora) -> None:
    jobs = await app.submit_many([app.prepare("echo", {"number": number}) for number in range(1_000)])
    assert [job.payload["number"] for job in jobs] == list(range(1_000))
    assert [job.job_id for job in jobs] == sorted(job.job_id for job in jobs)


async def test_a_key_that_is_taken_finds_its_job(app: Schedora) -> None:
    first = await app.submit("echo", {"a": 1}, idempotency_key="k")
    again = await app.submit("echo", {"a": 1}, idempotency_key="k")
    other = await app.submit("echo", {"a": 2}, idempotency_key="k")
    assert (first.created, again.created, other.created) == (True, False, False)
    assert (again.same_request, other.same_request) == (True, False)
    assert again.job_id == other.job_id == first.job_id
    assert other.payload == {"a": 1}


def test_each_event_loop_gets_connections_of_its_own(migrated_url: str) -> None:
    app = Schedora(database_url=migrated_url)

    async def submit() -> JobView[Any]:
        return await app.submit("echo")

    # Never closed: the end of each loop does it, and a connection left open would be a warning here.
    jobs = [asyncio.run(submit()), asyncio.run(submit()), app.submit_sync("echo")]
    app.close_sync()
    assert len({job.job_id for job in jobs}) == 3


def test_what_was_counted_is_kept_though_nobody_closes(migrated_url: str) -> None:
    app = Schedora(database_url=migrated_url)

    async def submit() -> None:
        await app.submit("echo")

    asyncio.run(submit())
    with psycopg.connect(migrated_url) as connection:
        counted = connection.execute(
            "SELECT value FROM metric_totals WHERE name = 'jobs_created_total'"
        ).fetchall()
    assert counted == [(1.0,)]


def test_a_database_that_is_away_is_told_of() -> None:
    app = Schedora(database_url="postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(StoreUnavailable):
        app.submit_sync("echo")
    with pytest.raises(StoreUnavailable):  # it tries again
        app.submit_sync("echo")
    app.close_sync()
