"""How tables lie on disk."""

import psycopg
import pytest

from schedora.diagnosis.doctor import storage as storage_checks
from schedora.diagnosis.doctor.finding import Severity
from tests.postgres.checks.looking import READY, ZERO, Connection, bad, codes, examined, the_one
from tests.programs import until


async def test_large_values_that_are_not_vacuumed(url: str, admin: Connection) -> None:
    admin.execute("alter table jobs set (toast.autovacuum_enabled = off)")
    finding = await the_one(url, "autovacuum_off")
    admin.execute(finding.fix.encode())
    assert await codes(url) == []


async def test_a_table_that_is_not_vacuumed(url: str, admin: Connection) -> None:
    admin.execute("alter table job_leases set (autovacuum_enabled = off)")
    finding = await the_one(url, "autovacuum_off")
    assert finding.details["table"] == "job_leases"
    admin.execute(finding.fix.encode())
    assert await codes(url) == []


def counted(admin: Connection, column: str, amount: int) -> None:
    """Returns once the statistics tell so of ``job_ready``."""
    told = f"select {column} from pg_stat_all_tables where relid = 'job_ready'::regclass"
    until(lambda: admin.execute(told.encode()).fetchall() == [(amount,)], f"{column} to be {amount}")


async def test_dead_rows(url: str, admin: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_checks, "DEAD_MIN", 1_000)
    with psycopg.connect(url, autocommit=True) as user:
        user.execute("select from jobs")
        with user.transaction():  # so that nobody can vacuum them
            user.execute(READY, [1_000])
            user.execute("delete from job_ready")
    counted(admin, "n_dead_tup", 1_000)
    finding = await the_one(url, "dead_rows", Severity.WARNING)
    assert (finding.details["table"], finding.details["dead_rows"]) == ("job_ready", 1_000)


async def test_bloat(url: str, admin: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    admin.execute("alter table job_ready set (autovacuum_enabled = off)")  # it would come in between
    with psycopg.connect(url, autocommit=True) as user:
        user.execute(READY, [20_000])
        # Of each page a few rows are left: vacuum can't give it back.
        user.execute("delete from job_ready where (ctid::text::point)[1] > 2")
    # What it has changed is told when it has left: vacuum counts anew after that.
    left = "select (select count(*) from job_ready) < 1000 and n_dead_tup > 10000 from pg_stat_all_tables where relid = 'job_ready'::regclass"
    until(lambda: admin.execute(left).fetchall() == [(True,)], "the statistics to tell of the dead rows")
    admin.execute("vacuum (analyze) job_ready")
    admin.execute("alter table job_ready reset (autovacuum_enabled)")
    counted(admin, "n_dead_tup", 0)
    assert await codes(url) == []
    monkeypatch.setattr(storage_checks, "BLOATED_MIN_BYTES", 1 << 20)
    found = {finding.code: finding for finding in bad(await examined(url))}
    assert found["table_bloated"].details["table"] == "job_ready"
    assert "index_bloated" in found
    admin.execute("vacuum full job_ready")
    assert await codes(url) == []


async def test_a_server_that_forgot_what_it_had_counted(
    url: str, admin: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does when it crashes."""
    admin.execute("alter table job_ready set (autovacuum_enabled = off)")
    with psycopg.connect(url, autocommit=True) as user:
        user.execute(READY, [20_000])
    counted(admin, "n_live_tup", 20_000)
    admin.execute("vacuum (analyze) job_ready")
    admin.execute("select pg_stat_reset()")
    counted(admin, "n_live_tup", 0)
    admin.execute("alter table job_ready reset (autovacuum_enabled)")
    monkeypatch.setattr(storage_checks, "BLOATED_MIN_BYTES", 1 << 20)
    monkeypatch.setattr(storage_checks, "UNANALYZED_MIN_ROWS", 100)
    assert await codes(url) == []


async def test_an_old_table(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_checks, "WRAPAROUND_MIN", 1)
    found = bad(await examined(url))
    assert {finding.code for finding in found} == {"wraparound_near"}
    assert found[0].details["table"] == ""


async def test_statistics_that_were_never_made(
    url: str, admin: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_checks, "UNANALYZED_MIN_ROWS", 100)
    admin.execute("alter table job_ready set (autovacuum_analyze_threshold = 1000000)")
    with psycopg.connect(url, autocommit=True) as user:
        user.execute(READY, [100])
    counted(admin, "n_live_tup", 100)
    finding = await the_one(url, "never_analyzed", Severity.WARNING)
    admin.execute(finding.fix.encode())
    assert await codes(url) == []


async def test_statistics_that_are_old(url: str, admin: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_checks, "STALE_MIN_CHANGES", 100)
    monkeypatch.setattr(storage_checks, "STALE_AFTER", ZERO)
    admin.execute("alter table job_ready set (autovacuum_analyze_threshold = 1000000)")
    admin.execute("analyze job_ready")
    with psycopg.connect(url, autocommit=True) as user:
        user.execute(READY, [100])
    counted(admin, "n_mod_since_analyze", 100)
    finding = await the_one(url, "statistics_stale", Severity.WARNING)
    assert finding.details["changed_rows"] == 100
