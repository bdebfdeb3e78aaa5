"""A run that was given up writes nothing: in another database by its token, in Schedora's own with its completion."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from examples.fencing.in_sql import TABLE, count_here, set_amount
from examples.fencing.stale import StaleRun
from tests.contract.postgres import postgres_stores
from tests.contract.stores import Stores
from tests.examples.fencing.runs import two_runs

from schedora.adapters.postgres.engine import Database
from schedora.application.context import JobContext
from schedora.application.errors import LeaseLost
from schedora.domain.job_state import JobState


@pytest.fixture
async def stores(migrated_url: str) -> AsyncIterator[Stores]:
    async with Database(migrated_url) as database:
        yield postgres_stores(database)


@pytest.fixture
async def runs(stores: Stores) -> tuple[JobContext, JobContext]:
    return await two_runs(stores)


@pytest.fixture
async def stock(migrated_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(migrated_url)
    await connection.execute(TABLE)
    yield connection
    await connection.close()


async def amount(stock: "asyncpg.Connection[asyncpg.Record]") -> int | None:
    found: int | None = await stock.fetchval("select amount from stock where sku = 'tea'")
    return found


async def test_the_stale_run_is_refused_by_its_token(
    stock: "asyncpg.Connection[asyncpg.Record]", runs: tuple[JobContext, JobContext]
) -> None:
    stale, present = runs
    await set_amount(stock, stale, "tea", 1)
    await set_amount(stock, present, "tea", 2)
    await set_amount(stock, present, "tea", 3)
    with pytest.raises(StaleRun, match="tea was counted by a later run than that with token 1"):
        await set_amount(stock, stale, "tea", 4)
    assert await amount(stock) == 3


async def test_the_token_orders_the_runs_of_one_job_only(
    stock: "asyncpg.Connection[asyncpg.Record]", stores: Stores, runs: tuple[JobContext, JobContext]
) -> None:
    await set_amount(stock, runs[1], "tea", 2)
    other, _ = await two_runs(stores)
    await set_amount(stock, other, "tea", 5)
    assert await amount(stock) == 5


async def test_with_its_completion_the_effect_is_there_once(
    stock: "asyncpg.Connection[asyncpg.Record]",
    stores: Stores,
    runs: tuple[JobContext, JobContext],
    migrated_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", migrated_url)
    stale, present = runs
    with pytest.raises(LeaseLost):
        await count_here(stale, "tea", 4)
    assert await amount(stock) is None
    await count_here(present, "tea", 2)
    assert (await stores.job(present.job_id)).status is JobState.SUCCESS
    for late in runs:
        with pytest.raises(LeaseLost):
            await count_here(late, "tea", 4)
    assert await amount(stock) == 2
