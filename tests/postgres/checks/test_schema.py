"""Tables, indexes and options that are not as Schedora made them."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from schedora.adapters.postgres.schema import REVISIONS
from schedora.adapters.postgres.tables import metadata
from schedora.diagnosis.doctor.finding import Severity
from tests.databases import empty_database
from tests.postgres.checks.looking import Connection, bad, checked, codes, examined, in_transaction, the_one
from tests.programs import until


async def test_no_tables(server_url: str) -> None:
    with empty_database(server_url) as url:
        diagnosis = await examined(url)
        assert [one.code for one in checked(diagnosis, "schema").findings] == ["schema_none"]
        assert "run: schedora migrate" in str(checked(diagnosis, "work").not_done)
        assert checked(diagnosis, "transactions").not_done is None


@pytest.mark.parametrize(
    ("revision", "code", "severity"),
    [(REVISIONS[0], "schema_behind", Severity.CRITICAL), ("9999", "schema_ahead", Severity.CRITICAL)],
)
async def test_another_revision(
    url: str, admin: Connection, revision: str, code: str, severity: Severity
) -> None:
    admin.execute("update schema_compatibility set since = '9998'")
    admin.execute("update schedora_version set version_num = %s", [revision])
    finding = await the_one(url, code, severity)
    assert finding.details == {"revision": revision, "newest": REVISIONS[-1]}


async def test_in_the_middle_of_an_upgrade_all_is_well(url: str, admin: Connection) -> None:
    admin.execute("update schedora_version set version_num = '9999'")
    admin.execute("alter table workers add column later text")
    assert await codes(url) == []


async def test_a_missing_table(url: str, admin: Connection) -> None:
    admin.execute("drop table sweeps")
    assert (await the_one(url, "table_missing")).details == {"table": "sweeps"}


async def test_a_missing_column(url: str, admin: Connection) -> None:
    admin.execute("alter table workers drop column memory_percent")
    assert (await the_one(url, "column_missing")).details == {"table": "workers", "column": "memory_percent"}


async def test_a_missing_index_is_made_again_by_the_fix(url: str, admin: Connection) -> None:
    names = sorted(str(index.name) for table in metadata.sorted_tables for index in table.indexes)
    for name in names:
        admin.execute(f"drop index {name}".encode())
        finding = await the_one(url, "index_missing")
        assert finding.details["index"] == name
        admin.execute(finding.fix.encode())
    assert await codes(url) == []


@pytest.mark.parametrize(
    ("table", "name"), [("jobs", "jobs_tenant_id_idempotency_key_key"), ("job_ready", "job_ready_pkey")]
)
async def test_a_missing_constraint_is_made_again_by_the_fix(
    url: str, admin: Connection, table: str, name: str
) -> None:
    admin.execute(f"alter table {table} drop constraint {name}".encode())
    finding = await the_one(url, "index_missing")
    admin.execute(finding.fix.encode())
    assert await codes(url) == []


async def test_an_index_that_could_not_be_made(url: str, admin: Connection) -> None:
    admin.execute("insert into sweeps (name) values ('a'), ('b')")
    with pytest.raises(psycopg.errors.UniqueViolation):
        admin.execute('create unique index concurrently "Odd Name" on sweeps (position)')
    finding = await the_one(url, "index_invalid", Severity.WARNING)
    assert finding.fix == 'REINDEX INDEX CONCURRENTLY "Odd Name"'


async def test_an_index_that_is_being_made(url: str, admin: Connection) -> None:
    making = "select from pg_stat_progress_create_index where phase = 'waiting for writers before build'"
    with (
        in_transaction(url, "lock table job_ready in row exclusive mode") as writer,
        psycopg.connect(url, autocommit=True) as maker,
        ThreadPoolExecutor(1) as thread,
    ):
        made = thread.submit(maker.execute, "reindex index concurrently job_ready_lane_idx")
        try:
            until(lambda: admin.execute(making).fetchall(), "an index to be made")
            assert await codes(url) == []
        finally:
            writer.rollback()
        made.result()


async def test_an_index_of_schedora_that_is_invalid(url: str, admin: Connection) -> None:
    admin.execute("update pg_index set indisvalid = false where indexrelid = 'job_ready_lane_idx'::regclass")
    finding = await the_one(url, "index_invalid")
    admin.execute(finding.fix.encode())
    assert await codes(url) == []


async def test_an_index_that_is_another(url: str, admin: Connection) -> None:
    admin.execute("drop index job_ready_lane_idx")
    admin.execute("create index job_ready_lane_idx on job_ready (queue, priority)")
    drop, _, create = (await the_one(url, "index_differs")).fix.partition(", then: ")
    admin.execute(drop.encode())
    admin.execute(create.encode())
    assert await codes(url) == []


async def test_an_index_that_nobody_asked_for(url: str, admin: Connection) -> None:
    admin.execute("create index mine on jobs (status)")
    finding = await the_one(url, "index_foreign", Severity.WARNING)
    assert (finding.details["index"], finding.details["unused"]) == ("mine", True)


async def test_an_index_that_somebody_asked_for_and_uses(url: str, admin: Connection) -> None:
    admin.execute("create index mine on jobs (status)")
    with psycopg.connect(url, autocommit=True) as user:
        user.execute("set enable_seqscan = off")
        user.execute("select from jobs where status = 'DEAD'")
    scans = "select idx_scan from pg_stat_all_indexes where indexrelname = 'mine'"
    until(lambda: admin.execute(scans).fetchall() == [(1,)], "the statistics to tell of it")
    diagnosis = await examined(url)
    assert bad(diagnosis) == []
    assert "index_foreign" in [finding.code for _, finding in diagnosis.findings]


async def test_an_index_over_an_expression_is_none_of_ours(url: str, admin: Connection) -> None:
    admin.execute("create index mine on jobs (lower(type), job_id)")
    await the_one(url, "index_foreign", Severity.WARNING)


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ("alter table jobs set (fillfactor = 100)", "fillfactor"),
        ("alter table job_ready reset (autovacuum_vacuum_scale_factor)", "autovacuum_vacuum_scale_factor"),
    ],
)
async def test_options_that_were_changed(url: str, admin: Connection, change: str, option: str) -> None:
    admin.execute(change.encode())
    finding = await the_one(url, "options_differ", Severity.WARNING)
    assert finding.details["option"] == option
    admin.execute(finding.fix.encode())
    assert await codes(url) == []


async def test_an_option_that_schedora_does_not_set_is_taken_back_by_the_fix(
    url: str, admin: Connection
) -> None:
    admin.execute("alter table jobs set (toast_tuple_target = 200)")
    [finding] = checked(await examined(url), "schema").findings
    assert (finding.code, finding.severity) == ("options_differ", Severity.OK)
    admin.execute(finding.fix.encode())
    assert checked(await examined(url), "schema").findings == ()
