"""Who holds an old snapshot."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import asyncpg
import psycopg
import pytest

from schedora.diagnosis.doctor import horizon as horizon_checks
from schedora.diagnosis.doctor.finding import Severity
from tests.postgres.checks.looking import (
    SNAPSHOT,
    ZERO,
    Connection,
    bad,
    checked,
    codes,
    examined,
    in_transaction,
    the_one,
)
from tests.programs import PATIENCE_SECONDS


@pytest.mark.parametrize("first", [SNAPSHOT, "insert into sweeps (name) values ('a')"])
async def test_a_transaction_that_was_left_open(
    url: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_transaction(url, first, "select count(*) from jobs where type = 'secret'") as connection:
        assert await codes(url) == []
        monkeypatch.setattr(horizon_checks, "IDLE_MIN", ZERO)
        finding = await the_one(url, "transaction_idle", Severity.WARNING)
        pid = connection.info.backend_pid
        assert finding.details["pid"] == pid
        assert finding.details["application_name"] == "report"
        assert finding.details["state"] == "idle in transaction"
        assert finding.details["query"] == "select count(*) from jobs where type = ?"
        assert f"session {pid} (report, user " in finding.found
        assert finding.found.endswith(": select count(*) from jobs where type = ?")
        assert f"SELECT pg_terminate_backend({pid})" in finding.fix
        monkeypatch.setattr(horizon_checks, "IDLE_CRITICAL", ZERO)
        await the_one(url, "transaction_idle", Severity.CRITICAL)


async def test_a_transaction_that_was_left_open_and_holds_nothing_back(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_transaction(url, "select from jobs"):
        monkeypatch.setattr(horizon_checks, "IDLE_MIN", ZERO)
        assert await codes(url) == []
        monkeypatch.setattr(horizon_checks, "OLD_MIN", ZERO)
        await the_one(url, "transaction_left_open", Severity.WARNING)


async def test_a_transaction_that_goes_on_and_on(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(horizon_checks, "OLD_MIN", ZERO)
    connection = await asyncpg.connect(url, server_settings={"application_name": "report"})
    try:
        sleeping = asyncio.ensure_future(connection.execute("select pg_sleep(600)"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (found := bad(await examined(url))):
                await asyncio.sleep(0.01)
        assert [finding.code for finding in found] == ["transaction_old"]
        assert found[0].details["query"] == "select pg_sleep(?)"
        sleeping.cancel()
        await asyncio.gather(sleeping, return_exceptions=True)
    finally:
        connection.terminate()


async def test_many_that_are_about_their_work_hide_no_old_transaction(
    url: str, visitor_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(horizon_checks, "TRANSACTIONS_MIN", 0)
    with ExitStack() as others, in_transaction(url, SNAPSHOT, "select from jobs"):
        for _ in range(50):
            others.enter_context(in_transaction(visitor_url, SNAPSHOT, "select from jobs"))
        found = checked(await examined(visitor_url), "transactions").findings
        assert [finding.code for finding in found] == ["transaction_old"]


async def test_a_transaction_in_another_database_holds_nothing_here(
    server_url: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(horizon_checks, "IDLE_MIN", ZERO)
    with in_transaction(server_url, SNAPSHOT, "select"):
        assert await codes(url) == []


async def test_a_prepared_transaction(url: str, admin: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(horizon_checks, "PREPARED_MIN", ZERO)
    with psycopg.connect(url) as connection:
        connection.execute("insert into sweeps (name) values ('a')")
        connection.execute("prepare transaction 'it''s mine'")
    finding = await the_one(url, "transaction_prepared", Severity.WARNING)
    assert finding.details["gid"] == "it's mine"
    command = finding.fix.rpartition("in its database: ")[2]
    admin.execute(command.encode())
    assert await codes(url) == []


@contextmanager
def a_slot(admin: Connection, kind: str, plugin: str) -> Iterator[None]:
    try:
        admin.execute(f"select pg_create_{kind}_replication_slot('a_slot', {plugin})".encode())
    except psycopg.errors.UndefinedFile:
        pytest.skip("this server brings no plugin for logical slots")
    try:
        yield
    finally:
        admin.execute("select pg_drop_replication_slot('a_slot')")


@pytest.mark.parametrize(("kind", "plugin"), [("physical", "true"), ("logical", "'pgoutput'")])
async def test_a_replication_slot_that_nobody_uses(
    url: str, admin: Connection, kind: str, plugin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_slot(admin, kind, plugin):
        assert await codes(url) == []
        monkeypatch.setattr(horizon_checks, "RETAINED_MIN_BYTES", 0)
        finding = await the_one(url, "slot_retains_wal", Severity.WARNING)
        assert (finding.details["slot"], finding.details["kind"]) == ("a_slot", kind)
        assert "SELECT pg_drop_replication_slot('a_slot')" in finding.fix


async def test_a_logical_replication_slot_holds_the_catalogs_back_and_no_rows_of_schedora(
    url: str, admin: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_slot(admin, "logical", "'pgoutput'"):
        admin.execute("insert into sweeps (name) values ('a')")
        admin.execute("delete from sweeps")
        admin.execute("vacuum sweeps")
        assert admin.execute("select pg_relation_size('sweeps')").fetchone() == (0,)
        monkeypatch.setattr(horizon_checks, "TRANSACTIONS_MIN", 1)
        await the_one(url, "slot_catalogs", Severity.WARNING)


async def test_what_cannot_be_seen_is_said(
    url: str, admin: Connection, visitor_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(horizon_checks, "IDLE_MIN", ZERO)
    with in_transaction(url, SNAPSHOT, "select 'secret' from jobs"):
        diagnosis = await examined(visitor_url)
        blind = {check.name: check.not_done for check in diagnosis.checks if check.not_done is not None}
        assert blind.keys() == {"transactions"}
        assert "GRANT pg_read_all_stats TO visitor" in str(blind["transactions"])
        assert checked(diagnosis, "transactions").status == "not_done"
        # How old its snapshot is, everybody may see.
        monkeypatch.setattr(horizon_checks, "TRANSACTIONS_MIN", 0)
        aged = checked(await examined(visitor_url), "transactions")
        assert [finding.code for finding in aged.findings] == ["transaction_old"]
        assert aged.findings[0].details["query"] is None
        assert (aged.status, aged.not_done) == ("warning", blind["transactions"])
        monkeypatch.undo()
        monkeypatch.setattr(horizon_checks, "IDLE_MIN", ZERO)
        admin.execute("grant pg_read_all_stats to visitor")
        assert await codes(visitor_url) == ["transaction_idle"]
