"""All checks together: nothing is found where nothing is wrong, and none is kept from being done by another."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

import pytest

from schedora.adapters.postgres import examination as examination_module
from schedora.adapters.postgres.checks import every as every_module
from schedora.adapters.postgres.checks.schema import schema
from schedora.adapters.postgres.checks.storage import storage
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import written
from schedora.diagnosis.doctor.finding import Observation, Severity
from schedora.domain.outcome import Succeeded
from tests.builders import a_request
from tests.contract.postgres import postgres_stores
from tests.contract.stores import EXPECTED
from tests.postgres.checks.looking import (
    Connection,
    bad,
    checked,
    examined,
    reloaded,
    worse_than_ok,
)
from tests.postgres.explained import Explaining
from tests.programs import until

_SLEEP = written("select pg_sleep(600)")
_WRITE = written("insert into sweeps (name) values ('a') returning name")
_SUICIDE = written("select pg_terminate_backend(pg_backend_pid())")
EVERY_CHECK = [
    "database", "server", "schema", "connections", "transactions", "locks", "notifications", "storage", "claim", "clocks",
    "processes", "work", "pooler", "redis",
]  # fmt: skip


async def test_nothing_is_wrong_right_after_the_migration(url: str, admin: Connection) -> None:
    with reloaded(admin, "fsync", "on"):
        diagnosis = await examined(url)
    assert worse_than_ok(diagnosis) == []
    assert bad(diagnosis) == []
    assert [check.name for check in diagnosis.checks] == EVERY_CHECK


async def test_nothing_is_wrong_after_some_thousand_jobs(url: str) -> None:
    async with Database(url) as database:
        stores = postgres_stores(database)
        worker = await stores.worker(version=EXPECTED.version, types=("work",))
        await stores.submit(*(a_request() for _ in range(3_000)))
        while claimed := await stores.claim(worker, limit=500):
            await stores.sync(completions=[await stores.settle(one, Succeeded()) for one in claimed])
            assert bad(await examined(url)) == []
        await stores.submit(*(a_request() for _ in range(1_000)))
        assert bad(await examined(url)) == []


async def test_no_session_is_left_behind(url: str, admin: Connection) -> None:
    sessions = "select count(*) from pg_stat_activity where datname = current_database()"
    before = admin.execute(sessions).fetchall()
    await examined(url)
    await asyncio.to_thread(
        until, lambda: admin.execute(sessions).fetchall() == before, "the sessions of the examination to end"
    )


async def test_tables_that_may_not_be_read(url: str, admin: Connection, visitor_url: str) -> None:
    admin.execute("revoke all on workers from visitor")
    diagnosis = await examined(visitor_url)
    for name in ("work", "connections"):
        assert "does not allow it to this user" in str(checked(diagnosis, name).not_done)
    assert "of workers; for that: GRANT SELECT" in str(checked(diagnosis, "storage").not_done)
    assert checked(diagnosis, "schema").not_done is None


async def test_a_database_that_is_away() -> None:
    diagnosis = await examined("postgresql://nobody:secret@127.0.0.1:1/none")
    [finding] = worse_than_ok(diagnosis)
    assert (finding.code, finding.severity) == ("database_away", Severity.CRITICAL)
    assert "secret" not in finding.found
    undone = [check.name for check in diagnosis.checks if check.not_done is not None]
    assert undone == EVERY_CHECK[1:-1]


async def test_a_database_that_is_not_there(url: str) -> None:
    diagnosis = await examined(urlunsplit(urlsplit(url)._replace(path="/not_there")))
    assert "does not exist" in next(finding.found for _, finding in diagnosis.findings)


async def test_a_check_that_takes_too_long_is_not_done_and_the_others_are(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stuck(session: Session) -> None:
        await session.fetch(_SLEEP)

    monkeypatch.setattr(every_module, "locks", stuck)
    monkeypatch.setattr(examination_module, "STATEMENT_PATIENCE", timedelta(seconds=2))
    diagnosis = await examined(url)
    assert "canceled a statement that took too long" in str(checked(diagnosis, "locks").not_done)
    assert [check.name for check in diagnosis.checks if check.not_done is not None] == ["locks"]


async def test_no_check_can_change_anything(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def writing(session: Session) -> None:
        await session.fetch(_WRITE)

    monkeypatch.setattr(every_module, "locks", writing)
    diagnosis = await examined(url)
    assert "takes no writes" in str(checked(diagnosis, "locks").not_done)


async def test_a_check_whose_connection_is_cut_is_not_done_and_the_others_are(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut(session: Session) -> None:
        await session.fetch(_SUICIDE)

    monkeypatch.setattr(every_module, "schema", cut)
    diagnosis = await examined(url)
    assert checked(diagnosis, "schema").not_done is not None
    assert [check.name for check in diagnosis.checks if check.not_done is not None] == ["schema"]


@pytest.mark.parametrize("read", [schema, storage])
async def test_tables_of_others_are_not_looked_at(
    url: str, admin: Connection, read: Callable[[Session], Awaitable[Observation]]
) -> None:
    admin.execute("create schema others")
    admin.execute(
        "do $$ begin for n in 1..400 loop execute format('create table others.t%s ()', n); end loop; end $$"
    )
    admin.execute("vacuum analyze pg_class")
    async with Database(url) as database:
        looked = Explaining(url, database)
        await read(looked)
    assert all(plan.rows("pg_class") < 400 for plan in looked.plans)
