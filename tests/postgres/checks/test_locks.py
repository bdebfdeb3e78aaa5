"""Who waits for a lock, and behind whom."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import psycopg
import pytest

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.statements import written
from schedora.diagnosis.doctor import locks as locks_checks
from schedora.diagnosis.doctor.finding import Severity
from tests.postgres.checks.looking import (
    ZERO,
    Connection,
    checked,
    codes,
    examined,
    in_transaction,
)
from tests.programs import until

_COUNT = written("select count(*) as amount from job_ready")
_UPDATE = written("update sweeps set name = name returning name")


@asynccontextmanager
async def waiting_for_a_lock(url: str, admin: Connection) -> AsyncIterator[int]:
    """A session of Schedora's that waits for somebody who altered a table, and has not committed."""
    with in_transaction(url, "lock table job_ready in access exclusive mode") as blocker:
        async with Database(url) as database, database.transaction() as session:
            waiting = asyncio.ensure_future(session.fetch(_COUNT))
            seen = "select from pg_stat_activity where wait_event_type = 'Lock' and application_name = 'schedora'"
            await asyncio.to_thread(until, lambda: admin.execute(seen).fetchall(), "a session to wait")
            yield blocker.info.backend_pid
            blocker.rollback()
            await waiting


async def test_a_wait_for_a_lock(url: str, admin: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks_checks, "WAIT_MIN", ZERO)
    async with waiting_for_a_lock(url, admin) as blocker:
        diagnosis = await examined(url)
        [finding] = checked(diagnosis, "locks").findings
        assert (finding.code, finding.severity) == ("lock_wait", Severity.WARNING)
        assert finding.details["blocker"] == blocker
        assert finding.details["on"] == "job_ready"
        assert finding.found.endswith(": lock table job_ready in access exclusive mode")
        assert finding.details["waiting_query"] == "select count(*) as amount from job_ready"
        assert finding.details["blocker_application_name"] == "report"
        # What would have to wait itself says so, and nothing else is held up.
        undone = {check.name: str(check.not_done) for check in diagnosis.checks if check.not_done}
        assert undone.keys() == {"storage", "claim", "work"}
        assert all("a lock that was not to be had in time" in reason for reason in undone.values())
    assert await codes(url) == []


async def test_who_waits_behind_another_of_schedora_is_told_of_the_one_that_both_wait_for(
    url: str, admin: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks_checks, "WAIT_MIN", ZERO)
    async with three_in_a_line(url, admin, lambda holder: None) as (holder, waiting):
        found = checked(await examined(url), "locks").findings
        assert {finding.details["waiting_pid"] for finding in found} == set(waiting)
        assert {finding.details["blocker"] for finding in found} == {holder}
        assert {finding.fix.rpartition("else: ")[2] for finding in found} == {
            f"SELECT pg_terminate_backend({holder})"
        }


async def test_who_waits_for_a_prepared_transaction_is_told_which(
    url: str, admin: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks_checks, "WAIT_MIN", ZERO)

    def prepare(holder: Connection) -> None:
        holder.execute("prepare transaction 'it''s mine'")

    async with three_in_a_line(url, admin, prepare) as (_, waiting):
        found = checked(await examined(url), "locks").findings
        assert [finding.code for finding in found] == ["lock_prepared"] * 2
        assert {finding.details["waiting_pid"] for finding in found} == set(waiting)
        assert {finding.fix.rpartition("in its database: ")[2] for finding in found} == {
            "ROLLBACK PREPARED 'it''s mine'"
        }


@asynccontextmanager
async def three_in_a_line(
    url: str, admin: Connection, then: Callable[[Connection], None]
) -> AsyncIterator[tuple[int, list[int]]]:
    """Who holds a row, and two sessions of Schedora's that want it, one behind the other. ``then`` is what the holder does
    once it holds it.
    """
    waits = (
        "select pid from pg_stat_activity where wait_event_type = 'Lock' and application_name = 'schedora'"
    )

    def in_line(amount: int) -> bool:
        return len(admin.execute(waits).fetchall()) == amount

    admin.execute("insert into sweeps (name) values ('a')")
    with psycopg.connect(url, application_name="report") as holder:
        holder.execute("select from sweeps for update")
        then(holder)
        async with Database(url) as one, Database(url) as other, asyncio.TaskGroup() as tasks:
            for number, database in enumerate((one, other), start=1):
                tasks.create_task(database.fetch(_UPDATE))
                await asyncio.to_thread(until, partial(in_line, number), "a session to wait")
            try:
                yield holder.info.backend_pid, [int(str(pid)) for (pid,) in admin.execute(waits).fetchall()]
            finally:
                holder.rollback()
                for (gid,) in admin.execute("select gid from pg_prepared_xacts").fetchall():
                    admin.execute(psycopg.sql.SQL("rollback prepared {}").format(psycopg.sql.Literal(gid)))


async def test_that_it_cannot_be_seen_whether_another_role_of_schedora_waits_is_said(
    url: str, admin: Connection, visitor_url: str
) -> None:
    assert checked(await examined(visitor_url), "locks").not_done is None
    async with Database(url) as database:
        await database.fetch(_COUNT)
        locks = checked(await examined(visitor_url), "locks")
        assert "it can't be seen who waits for a lock; for that: GRANT pg_read_all_stats" in str(
            locks.not_done
        )
        admin.execute("grant pg_read_all_stats to visitor")
        assert checked(await examined(visitor_url), "locks").not_done is None
