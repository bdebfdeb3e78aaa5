"""Looking into a real server: each fault that is put there is found, and nothing is where there is none."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import psycopg
import pytest
from attrs import frozen

from schedora.adapters.postgres import examination as examination_module
from schedora.adapters.postgres.checks import every as every_module
from schedora.adapters.postgres.embedded import start_embedded
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.examination import PostgresExamination
from schedora.adapters.postgres.process_reports import PostgresProcessReports
from schedora.adapters.postgres.schema import REVISIONS, migrate
from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import written
from schedora.adapters.postgres.tables import metadata
from schedora.adapters.system.clock import SystemClock
from schedora.application.ports.totals import Series
from schedora.application.queries import doctor as doctor_module
from schedora.application.queries.doctor import Checked, Diagnosis, Examine
from schedora.domain.checks import claim as claim_checks
from schedora.domain.checks import horizon as horizon_checks
from schedora.domain.checks import locks as locks_checks
from schedora.domain.checks import storage as storage_checks
from schedora.domain.finding import Finding, Severity
from schedora.domain.ids import ProcessId
from schedora.domain.outcome import Succeeded
from schedora.domain.process import ProcessIdentity, ProcessKind
from schedora.domain.worker import WorkerState
from tests.builders import a_request
from tests.contract.postgres import postgres_stores
from tests.contract.stores import EXPECTED
from tests.databases import copy_of, empty_database, migrated_template
from tests.postgres.pooler import Pooler
from tests.programs import PATIENCE_SECONDS, until

SETTINGS = {
    "fsync": "off", "max_prepared_transactions": "4", "max_notify_queue_pages": "64", "wal_level": "logical",
}  # fmt: skip
GIVEN = {"fsync_off"}
"""What is wrong with the server of these tests, so that they need not wait for its disk."""
ZERO = timedelta(0)
_COUNT = written("select count(*) as amount from job_ready")
_SLEEP = written("select pg_sleep(600)")
_AGE = written(
    "update processes p set started_at = p.started_at - :span::interval where p.process_id = :process_id::uuid"
)
_WRITE = written("insert into sweeps (name) values ('a') returning name")
_UPDATE = written("update sweeps set name = name returning name")
_SUICIDE = written("select pg_terminate_backend(pg_backend_pid())")
EVERY_CHECK = [
    "database", "server", "schema", "connections", "transactions", "locks", "notifications", "storage", "claim", "clocks",
    "processes", "work", "pooler", "redis",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the machine is slow says nothing of the server."""
    monkeypatch.setattr(examination_module, "STATEMENT_PATIENCE", timedelta(seconds=PATIENCE_SECONDS))
    monkeypatch.setattr(doctor_module, "CHECK_PATIENCE", timedelta(seconds=2 * PATIENCE_SECONDS))


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of these tests' own: its settings are changed, and looked at."""
    server = start_embedded(tmp_path_factory.mktemp("examined"), SETTINGS)
    yield server.url
    server.release()


@pytest.fixture(scope="module")
def template(server_url: str) -> Iterator[str]:
    with migrated_template(server_url) as name:
        yield name


@pytest.fixture
def url(server_url: str, template: str) -> Iterator[str]:
    with copy_of(server_url, template) as url:
        yield url


@pytest.fixture
def admin(url: str) -> "Iterator[psycopg.Connection[tuple[object]]]":
    """A session of somebody else's, in autocommit."""
    with psycopg.connect(url, autocommit=True, application_name="admin") as connection:
        yield connection


Connection = psycopg.Connection[tuple[object]]


@frozen
class SkewedClock(SystemClock):
    ahead: timedelta

    def now(self) -> datetime:
        return super().now() + self.ahead


async def examined(url: str, *, clock: SystemClock | None = None, pooled: bool = False) -> Diagnosis:
    clock = clock or SystemClock()
    examination = PostgresExamination(Database(url, pooled=pooled), clock, EXPECTED)
    return await Examine(store=examination, redis=None, clock=clock)()


def bad(diagnosis: Diagnosis) -> list[Finding]:
    """What is more than worth knowing, and not so for all of these tests. All checks must have been done."""
    assert [(check.name, check.not_done) for check in diagnosis.checks if check.not_done is not None] == []
    return [finding for finding in worse_than_ok(diagnosis) if finding.code not in GIVEN]


def worse_than_ok(diagnosis: Diagnosis) -> list[Finding]:
    return [finding for _, finding in diagnosis.findings if finding.severity is not Severity.OK]


async def the_one(url: str, code: str, severity: Severity = Severity.CRITICAL) -> Finding:
    """The only thing that is wrong."""
    found = bad(await examined(url))
    assert [(one.code, one.severity) for one in found] == [(code, severity)], found
    return found[0]


async def codes(url: str) -> list[str]:
    return sorted(finding.code for finding in bad(await examined(url)))


def checked(diagnosis: Diagnosis, name: str) -> Checked:
    [check] = [check for check in diagnosis.checks if check.name == name]
    return check


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
            await stores.exchange(completions=[await stores.settle(one, Succeeded()) for one in claimed])
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


# The server's settings


@contextmanager
def reloaded(admin: Connection, setting: str, value: str) -> Iterator[None]:
    """The whole server's, taken back in the end."""

    def reload(command: str, wanted: str) -> None:
        admin.execute(command.encode())
        admin.execute("select pg_reload_conf()")
        shown = f"select current_setting('{setting}')"
        until(lambda: admin.execute(shown.encode()).fetchall() == [(wanted,)], f"{setting} to be {wanted}")

    [(before,)] = admin.execute(f"select current_setting('{setting}')".encode()).fetchall()
    reload(f"alter system set {setting} = '{value}'", value)
    try:
        yield
    finally:
        reload(f"alter system reset {setting}", str(before))


@pytest.mark.parametrize(
    ("setting", "value", "code", "severity"),
    [
        ("full_page_writes", "off", "full_page_writes_off", Severity.WARNING),
        ("synchronous_commit", "off", "commits_not_durable", Severity.CRITICAL),
        ("synchronous_standby_names", "nobody", "commits_wait", Severity.CRITICAL),
        ("autovacuum", "off", "autovacuum_off", Severity.CRITICAL),
        ("track_counts", "off", "autovacuum_off", Severity.CRITICAL),
    ],
)
async def test_a_setting_of_the_server(
    url: str, admin: Connection, setting: str, value: str, code: str, severity: Severity
) -> None:
    with reloaded(admin, setting, value):
        finding = await the_one(url, code, severity)
        assert f"ALTER SYSTEM SET {setting} = " in finding.fix
    assert await codes(url) == []


@pytest.mark.parametrize(
    ("setting", "value", "code", "severity"),
    [
        ("synchronous_commit", "off", "commits_not_durable", Severity.CRITICAL),
        ("default_transaction_isolation", "serializable", "isolation_raised", Severity.WARNING),
        ("default_transaction_read_only", "on", "server_read_only", Severity.CRITICAL),
        ("lock_timeout", "10ms", "timeout_short", Severity.CRITICAL),
        ("transaction_timeout", "29s", "timeout_short", Severity.WARNING),
        ("idle_session_timeout", "1h", "idle_sessions_cut", Severity.WARNING),
    ],
)
async def test_a_setting_of_the_database(
    url: str, admin: Connection, setting: str, value: str, code: str, severity: Severity
) -> None:
    name = urlsplit(url).path.strip("/")
    admin.execute(f"alter database {name} set {setting} = '{value}'".encode())
    finding = await the_one(url, code, severity)
    assert finding.fix


async def test_limits_that_schedora_sets_itself_are_no_matter(url: str, admin: Connection) -> None:
    name = urlsplit(url).path.strip("/")
    for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
        admin.execute(f"alter database {name} set {setting} = '100ms'".encode())
    assert await codes(url) == []


# Tables and indexes


async def test_no_tables(server_url: str) -> None:
    with empty_database(server_url) as url:
        diagnosis = await examined(url)
        assert [one.code for one in checked(diagnosis, "schema").findings] == ["schema_none"]
        assert "run: schedora migrate" in str(checked(diagnosis, "work").not_done)
        assert checked(diagnosis, "transactions").not_done is None


@pytest.mark.parametrize(
    ("revision", "code", "severity"),
    [(REVISIONS[0], "schema_behind", Severity.CRITICAL), ("9999", "schema_ahead", Severity.WARNING)],
)
async def test_another_revision(
    url: str, admin: Connection, revision: str, code: str, severity: Severity
) -> None:
    admin.execute("update schedora_version set version_num = %s", [revision])
    finding = await the_one(url, code, severity)
    assert finding.details == {"revision": revision, "newest": REVISIONS[-1]}


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


# How tables lie on disk


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


READY = """
insert into job_ready (job_id, queue, priority, type, scheduled_at)
select gen_random_uuid(), 'default', 5, 'work', now() + interval '1 hour' from generate_series(1, %s)
"""


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


# The plan of a claim


async def test_a_claim_that_would_read_everything(
    url: str, admin: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_checks, "BIG_BYTES", 1)
    admin.execute(READY, [1_000])
    assert await codes(url) == []
    admin.execute("drop index job_ready_lane_idx")
    found = {finding.code: finding for finding in bad(await examined(url))}
    assert found.keys() == {"index_missing", "claim_plan"}
    assert found["claim_plan"].severity is Severity.CRITICAL


async def test_behind_a_pooler_a_claim_is_planned_as_the_server_pleases(
    url: str, admin: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_checks, "BIG_BYTES", 1)
    admin.execute(READY, [100])
    name = urlsplit(url).path.strip("/")
    for setting in ("enable_indexscan", "enable_indexonlyscan"):
        admin.execute(f"alter database {name} set {setting} = off".encode())
    codes_there = {finding.code for _, finding in (await examined(url, pooled=True)).findings}
    assert "claim_plan" in codes_there


# Standbys


@pytest.fixture
def standby_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of nobody: it waits for what never comes."""
    data = tmp_path_factory.mktemp("standby")
    server = start_embedded(data, {"fsync": "off"})
    migrate(server.url)
    server.release()
    (data / "postgres" / "standby.signal").touch()
    server = start_embedded(data, {"fsync": "off"})
    yield server.url
    server.release()


async def test_a_standby(standby_url: str) -> None:
    """Every check is done there: none changes anything."""
    await the_one(standby_url, "server_standby")


# Old transactions


SNAPSHOT = "set transaction isolation level repeatable read"


@contextmanager
def in_transaction(url: str, *statements: str) -> Iterator[psycopg.Connection[tuple[object]]]:
    with psycopg.connect(url, application_name="report") as connection:
        for statement in statements:
            connection.execute(statement.encode())
        yield connection


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


# Rights


@pytest.fixture
def visitor_url(url: str, admin: Connection) -> Iterator[str]:
    """Of a role that may work with the tables, and sees of other sessions what anybody does."""
    admin.execute("create role visitor login")
    admin.execute("grant all on all tables in schema public to visitor")
    parts = urlsplit(url)
    yield urlunsplit(parts._replace(netloc=f"visitor@{parts.netloc.rpartition('@')[2]}"))
    until(
        lambda: admin.execute("select from pg_stat_activity where usename = 'visitor'").fetchall() == [],
        "the visitor to leave",
    )
    admin.execute("drop owned by visitor")
    admin.execute("drop role visitor")


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


async def test_that_standbys_cannot_be_seen_is_said_where_commits_wait_for_one(
    admin: Connection, visitor_url: str
) -> None:
    assert checked(await examined(visitor_url), "server").not_done is None
    with reloaded(admin, "synchronous_standby_names", "nobody"):
        server = checked(await examined(visitor_url), "server")
    assert "commits_wait" not in [finding.code for finding in server.findings]
    assert "whether any is a standby that commits wait for" in str(server.not_done)


async def test_tables_that_may_not_be_read(url: str, admin: Connection, visitor_url: str) -> None:
    admin.execute("revoke all on workers from visitor")
    diagnosis = await examined(visitor_url)
    for name in ("work", "connections"):
        assert "does not allow it to this user" in str(checked(diagnosis, name).not_done)
    assert checked(diagnosis, "schema").not_done is None


# Locks


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


# Connections


async def test_few_connections_left(url: str, admin: Connection) -> None:
    name = urlsplit(url).path.strip("/")
    admin.execute(f"alter database {name} connection limit 6".encode())
    finding = next(finding for finding in bad(await examined(url)) if finding.code == "connections_few")
    assert (finding.details["setting"], finding.details["limit"]) == ("CONNECTION LIMIT of the database", 6)


async def test_no_connection_left(url: str, admin: Connection, visitor_url: str) -> None:
    name = urlsplit(url).path.strip("/")
    admin.execute(f"alter database {name} connection limit 1".encode())
    [finding] = worse_than_ok(await examined(visitor_url))
    assert (finding.code, finding.severity) == ("connections_few", Severity.CRITICAL)
    assert "too many connections for database" in finding.found


async def test_no_connection_left_at_a_pooler(url: str) -> None:
    async with Pooler(url, full=True).running() as pooled_url:
        [finding] = worse_than_ok(await examined(f"{pooled_url}?pgbouncer=true"))
    assert (finding.code, finding.severity) == ("connections_few", Severity.CRITICAL)
    assert "no more connections allowed" in finding.found


async def test_connections_of_others_count_for_those_who_may_not_see_what_they_are(
    url: str, admin: Connection, visitor_url: str
) -> None:
    name = urlsplit(url).path.strip("/")
    admin.execute(f"alter database {name} connection limit 20".encode())
    with ExitStack() as others:
        for _ in range(14):
            others.enter_context(psycopg.connect(url))
        [finding] = checked(await examined(visitor_url), "connections").findings
        assert finding.code == "connections_few"
        assert int(str(finding.details["used"])) >= 16


async def test_more_processes_than_there_are_connections_for(url: str) -> None:
    async with Database(url) as database:
        stores = postgres_stores(database)
        for number in range(8):
            await stores.worker(worker_id=f"w{number}", pid=number, version=EXPECTED.version)
        finding = await the_one(url, "connections_promised", Severity.WARNING)
        assert (finding.details["processes"], finding.details["steady"]) == (8, 8 * 25)


# The queue of notifications


def tell_without_end(connection: Connection) -> None:
    for number in count():
        connection.execute("select pg_notify('anything', %s)", [f"{number} {'x' * 7_900}"])


async def test_a_session_that_holds_the_notifications(url: str, admin: Connection) -> None:
    with psycopg.connect(url, application_name="sleepy") as listening:
        listening.execute("listen anything")
        listening.commit()
        listening.execute("select")
        with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="too many notifications"):
            tell_without_end(admin)
        finding = await the_one(url, "notifications_pile_up")
        assert (finding.details["pid"], finding.details["application_name"]) == (
            listening.info.backend_pid,
            "sleepy",
        )


# Workers


async def test_many_lost_workers_hide_none_that_lives(url: str, admin: Connection) -> None:
    admin.execute(
        "insert into workers (incarnation, worker_id, hostname, pid, version, max_concurrent_jobs, queues, types, status,"
        " registered_at, last_heartbeat) select gen_random_uuid(), 'gone', 'h', 1, '', 1, '{}', '{}', 'STALE', now(),"
        " now() - interval '1 minute' from generate_series(1, 1000)"
    )
    async with Database(url) as database:
        stores = postgres_stores(database)
        await stores.worker(version=EXPECTED.version)
        await stores.submit_one()
    assert set(await codes(url)) == {"worker_stale"}


async def test_workers_are_told_of_where_it_cannot_be_seen_what_waits(url: str) -> None:
    async with Database(url) as database:
        stores = postgres_stores(database)
        worker = await stores.worker(version=EXPECTED.version)
        await stores.workers.set_status([worker.incarnation], WorkerState.STALE)
    with in_transaction(url, "lock table job_ready in access exclusive mode"):
        work = checked(await examined(url), "work")
    assert [finding.code for finding in work.findings] == ["worker_stale"]
    assert "it can't be seen what waits" in str(work.not_done)


# Clocks


@pytest.mark.parametrize(
    ("ahead", "severity", "words"),
    [(10, Severity.WARNING, "10 s ahead of"), (-120, Severity.CRITICAL, "2 min behind")],
)
async def test_a_clock_that_goes_wrong(url: str, ahead: int, severity: Severity, words: str) -> None:
    diagnosis = await examined(url, clock=SkewedClock(timedelta(seconds=ahead)))
    [finding] = bad(diagnosis)
    assert (finding.code, finding.severity) == ("clock_skewed", severity)
    assert ahead - 1 < float(str(finding.details["ahead_seconds"])) < ahead + 1


# Poolers


async def test_a_pooler_that_was_not_told_of(url: str) -> None:
    async with Pooler(url).running() as pooled_url:
        await the_one(pooled_url, "pooler_unsaid")


async def test_a_pooler_that_refuses_who_does_not_know_of_it(url: str) -> None:
    async with Pooler(url, strict=True).running() as pooled_url:
        [finding] = worse_than_ok(await examined(pooled_url))
        assert (finding.code, finding.severity) == ("pooler_unsaid", Severity.CRITICAL)
        assert "unsupported startup parameter" in finding.found
        assert await codes(f"{pooled_url}?pgbouncer=true") == []


async def test_a_pooler_that_was_told_of(url: str, admin: Connection) -> None:
    async with Pooler(url).running() as pooled_url:
        assert await codes(f"{pooled_url}?pgbouncer=true") == []
        # Past it come no limits of Schedora's own: those of the database hold.
        name = urlsplit(url).path.strip("/")
        admin.execute(f"alter database {name} set statement_timeout = '1s'".encode())
    async with Pooler(url).running() as pooled_url:
        await the_one(f"{pooled_url}?pgbouncer=true", "timeout_short", Severity.WARNING)


async def test_a_pooler_in_session_mode(url: str) -> None:
    async with Pooler(url, shared=False).running() as pooled_url:
        assert await codes(pooled_url) == []


async def test_a_pooler_that_is_not_there(url: str) -> None:
    await the_one(f"{url}&pgbouncer=true", "pooler_needless", Severity.WARNING)


async def test_a_pooler_that_tells_another_version(url: str) -> None:
    async with Pooler(url, version="15.1").running() as pooled_url:
        await the_one(f"{pooled_url}?pgbouncer=true", "server_version_mixed", Severity.WARNING)


async def reported(
    url: str, kind: ProcessKind, *, ahead: timedelta = ZERO, aged: timedelta = ZERO, connections: float = 0
) -> None:
    """A process that tells of itself, and has for so long."""
    identity = ProcessIdentity(
        process_id=ProcessId(uuid4()), kind=kind, name="p", hostname="h", pid=7, version=EXPECTED.version
    )
    gauges = {Series("database_connections_max", (("pool", "main"),)): connections} if connections else {}
    async with Database(url) as database:
        reports = PostgresProcessReports(database)
        await reports.put(identity, clock_at=SystemClock().now() + ahead, gauges=gauges)
        await database.fetch(_AGE, span=aged, process_id=identity.process_id)


async def test_the_clock_of_another_process_that_goes_wrong(url: str) -> None:
    await reported(url, ProcessKind.REAPER, ahead=timedelta(seconds=10))
    finding = await the_one(url, "clock_skewed", Severity.WARNING)
    assert finding.details["process"] == "reaper p on h"


async def test_processes_without_a_reaper(url: str) -> None:
    await reported(url, ProcessKind.API, aged=timedelta(minutes=3))
    await the_one(url, "reaper_missing", Severity.WARNING)
    await reported(url, ProcessKind.REAPER)
    assert await codes(url) == []


async def test_processes_that_may_ask_for_more_connections_than_there_are(url: str) -> None:
    for _ in range(4):
        await reported(url, ProcessKind.UP, connections=100)
    finding = await the_one(url, "connections_promised", Severity.WARNING)
    assert (finding.details["processes"], finding.details["most"]) == (4, 4 * 101)
    # A pooler is what they ask then, and how many it opens is its own affair.
    async with Pooler(url).running() as pooled_url:
        assert await codes(f"{pooled_url}?pgbouncer=true") == []


# Being away, and getting stuck


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
