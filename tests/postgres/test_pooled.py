"""Listening where a pooler in transaction mode stands: what is left behind there, and what is said of it."""

import asyncio
from collections.abc import Iterator

import pytest

from schedora.adapters.postgres import wakeup as wakeup_module
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.statements import Statement
from schedora.adapters.postgres.wakeup import PostgresWakeup
from schedora.application.errors import StoreUnavailable
from schedora.application.ports.wakeup import Hint, SubscriptionFilter
from tests.postgres.pooler import Pooler, running_beside
from tests.programs import PATIENCE_SECONDS

ANYTHING = Hint()
CHANNELS = Statement("select pg_listening_channels() as channel", ())


@pytest.fixture
def pooler_url(migrated_url: str) -> Iterator[str]:
    with running_beside(Pooler(migrated_url)) as url:
        yield url


async def test_who_knows_of_the_pooler_listens_to_nothing_and_says_so_once(
    pooler_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        Database(f"{pooler_url}?pgbouncer=true") as database,
        PostgresWakeup(database).subscribe(lambda _: None, SubscriptionFilter()) as subscription,
    ):
        assert not subscription.healthy
        # Alone, it is given the session again that it had last.
        assert await database.fetch(CHANNELS) == []
    [record] = [record for record in caplog.records if "hints are off" in record.getMessage()]
    assert record.levelname == "WARNING"
    assert "DATABASE_DIRECT_URL" in record.getMessage()


async def test_who_does_not_know_finds_out_and_tries_again_without_leaving_ever_more_behind(
    pooler_url: str, migrated_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(wakeup_module, "_PROBE_TIMEOUT_SECONDS", 0.01)
    attempts: asyncio.Queue[None] = asyncio.Queue()
    connect = Database.connect_with_session

    async def counted(database: Database) -> object:
        attempts.put_nowait(None)
        return await connect(database)

    monkeypatch.setattr(Database, "connect_with_session", counted)
    async with Database(pooler_url) as database, Database(f"{pooler_url}?pgbouncer=true") as other:
        wakeup = PostgresWakeup(database, unit_random=lambda: 0.0)
        async with wakeup.subscribe(lambda _: None, SubscriptionFilter()) as subscription:
            async with asyncio.timeout(PATIENCE_SECONDS):
                for _ in range(4):
                    await attempts.get()
            assert not subscription.healthy
        left = [row["channel"] for row in await other.fetch(CHANNELS)]
        assert len(left) <= 2, left
    [said] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "DATABASE_DIRECT_URL" in said.getMessage()


async def test_a_direct_way_says_that_there_is_a_pooler_and_hears(
    pooler_url: str, migrated_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    hints: asyncio.Queue[Hint] = asyncio.Queue()
    async with Database(pooler_url, direct_url=migrated_url) as database:
        assert database.pooled
        wakeup = PostgresWakeup(database)
        async with wakeup.subscribe(hints.put_nowait, SubscriptionFilter()) as subscription:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not subscription.healthy:
                    await asyncio.sleep(0.005)  # nothing else tells
                wakeup.notify(queues=["mail"])
                while "mail" not in (await hints.get()).queues:
                    pass
        assert await database.fetch(CHANNELS) == []
    assert not caplog.records


async def test_who_does_not_know_of_one_that_takes_no_settings_is_told_what_to_set(migrated_url: str) -> None:
    with running_beside(Pooler(migrated_url, strict=True)) as url:
        async with Database(url) as database:
            with pytest.raises(
                StoreUnavailable,
                match=r"a pooler stands before .*; add \?pgbouncer=true to DATABASE_URL, or set DATABASE_DIRECT_URL: unsupported",
            ):
                await database.fetch(CHANNELS)
