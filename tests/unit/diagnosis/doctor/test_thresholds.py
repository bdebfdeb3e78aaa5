"""From where on something is a finding, and how bad it is: just below, at, and where it turns critical."""

from datetime import timedelta
from typing import Any

import attrs
import pytest

from schedora.diagnosis.doctor.claim import ClaimPlan, TableScan
from schedora.diagnosis.doctor.clocks import ClockReading, Clocks
from schedora.diagnosis.doctor.connections import Connections, Limit, Pools
from schedora.diagnosis.doctor.finding import Observation
from schedora.diagnosis.doctor.horizon import Holder, Horizon, Prepared, Slot
from schedora.diagnosis.doctor.locks import LockWait, LockWaits
from schedora.diagnosis.doctor.notifications import Notifications
from schedora.diagnosis.doctor.pooler import Pooler
from schedora.diagnosis.doctor.processes import Processes, RunningProcess
from schedora.diagnosis.doctor.reach import DatabaseReach, MemoryStoreInUse, RedisReach
from schedora.diagnosis.doctor.redis import RedisServer
from schedora.diagnosis.doctor.schema import Index, Schema, Table
from schedora.diagnosis.doctor.server import Server
from schedora.diagnosis.doctor.sessions import ServerSession
from schedora.diagnosis.doctor.storage import IndexSize, Storage, StoredTable
from schedora.diagnosis.doctor.work import Crew, Died, Waiting, Work
from schedora.domain.process import ProcessKind
from schedora.domain.worker import WorkerState
from tests.builders import NOON

SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=seconds) for seconds in (1, 60, 3_600, 86_400))
MILLISECOND = timedelta(milliseconds=1)
MILLION, GIB, MIB = 1_000_000, 1 << 30, 1 << 20


def codes(facts: Observation) -> list[str]:
    """``!`` stands for critical, ``(...)`` for what is only worth knowing."""
    form = {"ok": "({})", "warning": "{}", "critical": "{}!"}
    return [form[finding.severity].format(finding.code) for finding in facts.findings()]


def test_what_is_there_is_no_finding() -> None:
    assert codes(DatabaseReach()) == []
    assert codes(DatabaseReach(problem="no route")) == ["database_away!"]
    assert codes(RedisReach()) == []
    assert codes(RedisReach(problem="no route")) == ["redis_away"]
    assert codes(RedisReach(configured=False)) == ["(redis_none)"]
    assert codes(MemoryStoreInUse()) == ["(memory_store)"]


SERVER = Server(
    version=17, version_text="17.2", database="d", user="u", standby=False, read_only=False, fsync=True,
    full_page_writes=True, synchronous_commit="on", isolation="read committed",
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"version": 14}, ["server_too_old!"]),
        ({"version": 15}, []),
        ({"version": 18}, []),
        ({"version": 19}, ["server_unproven"]),
        ({"standby": True, "read_only": True}, ["server_standby!"]),
        ({"read_only": True}, ["server_read_only!"]),
        ({"fsync": False}, ["fsync_off!"]),
        ({"full_page_writes": False}, ["full_page_writes_off"]),
        ({"synchronous_commit": "off"}, ["commits_not_durable!"]),
        ({"synchronous_commit": "remote_apply"}, []),
        ({"standbys_missing": True}, ["commits_wait!"]),
        ({"isolation": "serializable"}, ["isolation_raised"]),
        ({"lock_timeout": SECOND}, []),
        ({"lock_timeout": SECOND - MILLISECOND}, ["timeout_short!"]),
        ({"transaction_timeout": 30 * SECOND}, []),
        ({"transaction_timeout": 29 * SECOND}, ["timeout_short"]),
        ({"idle_session_timeout": HOUR}, ["idle_sessions_cut"]),
    ],
)  # fmt: skip
def test_the_server(change: dict[str, Any], found: list[str]) -> None:
    assert codes(attrs.evolve(SERVER, **change)) == found


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"between": True}, []),  # in session mode
        ({"between": True, "shared": None}, []),
        ({"between": True, "shared": True}, ["pooler_unsaid!"]),
        ({"said": True, "between": True, "shared": True}, []),
        ({"said": True, "between": True, "shared": None}, []),
        ({"said": True}, ["pooler_needless"]),
        ({"told_version": "16.1"}, ["server_version_mixed"]),
    ],
)
def test_a_pooler(change: dict[str, Any], found: list[str]) -> None:
    pooler = Pooler(said=False, between=False, shared=False, told_version="17.2", version="17.2")
    assert codes(attrs.evolve(pooler, **change)) == found


IDX = Index(
    table="t", name="t_idx", columns=("a",), unique=False, partial=False, definition="CREATE INDEX t_idx"
)
WANTED = Table(name="t", columns=frozenset({"a", "b"}), indexes=(IDX,), options={"fillfactor": "70"})


@pytest.mark.parametrize(
    ("table", "found"),
    [
        (WANTED, []),
        (attrs.evolve(WANTED, columns=frozenset({"a", "b", "c"})), []),
        (attrs.evolve(WANTED, columns=frozenset({"b"})), ["column_missing!"]),
        (attrs.evolve(WANTED, indexes=()), ["index_missing!"]),
        (attrs.evolve(WANTED, indexes=(attrs.evolve(IDX, valid=False),)), ["index_invalid!"]),
        (attrs.evolve(WANTED, indexes=(attrs.evolve(IDX, valid=False, in_the_making=True),)), []),
        (attrs.evolve(WANTED, indexes=(attrs.evolve(IDX, columns=("b",)),)), ["index_differs!"]),
        (attrs.evolve(WANTED, indexes=(attrs.evolve(IDX, unique=True),)), ["index_differs!"]),
        (attrs.evolve(WANTED, indexes=(attrs.evolve(IDX, partial=True),)), ["index_differs!"]),
        (attrs.evolve(WANTED, indexes=(IDX, attrs.evolve(IDX, name="x", unused=True))), ["index_foreign"]),
        (attrs.evolve(WANTED, indexes=(IDX, attrs.evolve(IDX, name="x"))), ["(index_foreign)"]),
        (attrs.evolve(WANTED, indexes=(IDX, attrs.evolve(IDX, name="x", valid=False))), ["index_invalid"]),
        (attrs.evolve(WANTED, options={}), ["options_differ"]),
        (attrs.evolve(WANTED, options={"fillfactor": "100"}), ["options_differ"]),
        (attrs.evolve(WANTED, options={"fillfactor": "70", "toast_tuple_target": "4080"}), ["(options_differ)"]),
        (attrs.evolve(WANTED, options={"fillfactor": "70", "autovacuum_enabled": "false"}), []),
        (attrs.evolve(WANTED, name="other"), ["table_missing!"]),
    ],
)  # fmt: skip
def test_tables_and_indexes(table: Table, found: list[str]) -> None:
    assert codes(Schema(revision="2", known=("1", "2"), tables=[table], wanted=[WANTED])) == found


@pytest.mark.parametrize(
    ("revision", "found"),
    [
        (None, ["schema_none!"]),
        ("1", ["schema_behind!"]),
        ("2", ["table_missing!"]),
        ("3", ["schema_ahead!"]),
    ],
)
def test_the_revision_of_the_schema(revision: str | None, found: list[str]) -> None:
    """Tables of another revision are not held against those of this one."""
    assert codes(Schema(revision=revision, known=("1", "2"), wanted=[WANTED])) == found
    assert codes(Schema(revision=revision, known=("1", "2"), compatible_since="3", wanted=[WANTED])) == found


@pytest.mark.parametrize("since", ["1", "2"])
def test_a_newer_schema_that_only_added_to_a_known_one(since: str) -> None:
    assert codes(Schema(revision="3", known=("1", "2"), compatible_since=since, wanted=[WANTED])) == []


TABLE = StoredTable(
    name="t", live_rows=10, dead_rows=0, changed_rows=0, size_bytes=8192, row_bytes=100, vacuumed=MINUTE, analyzed=MINUTE
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"vacuumed": None, "analyzed": None}, []),
        ({"autovacuum": False}, ["autovacuum_off!"]),
        ({"dead_rows": 499_999, "vacuumed": None}, []),
        ({"dead_rows": 500_000, "vacuumed": None}, ["dead_rows"]),
        ({"dead_rows": 500_000, "vacuumed": 10 * MINUTE}, ["dead_rows"]),
        ({"dead_rows": 500_000, "vacuumed": 9 * MINUTE}, []),
        ({"dead_rows": 500_000, "live_rows": 500_001, "vacuumed": DAY}, []),
        ({"dead_rows": 5 * MILLION}, ["dead_rows"]),
        ({"age": 500 * MILLION - 1}, []),
        ({"age": 500 * MILLION}, ["wraparound_near"]),
        ({"age": 1_500 * MILLION}, ["wraparound_near!"]),
        ({"size_bytes": 512 * MIB}, ["table_bloated"]),
        ({"size_bytes": 512 * MIB - 1}, []),
        ({"size_bytes": 640 * MIB, "live_rows": 1 << 16, "row_bytes": 1 << 10}, ["table_bloated"]),
        ({"size_bytes": 640 * MIB - 1, "live_rows": 1 << 16, "row_bytes": 1 << 10}, []),
        ({"size_bytes": 512 * MIB, "row_bytes": None}, []),
        ({"size_bytes": 512 * MIB, "live_rows": MILLION}, []),
        ({"indexes": (IndexSize(name="i", size_bytes=512 * MIB, row_bytes=50),)}, ["index_bloated"]),
        ({"indexes": (IndexSize(name="i", size_bytes=512 * MIB, row_bytes=50),), "live_rows": 2 * MILLION}, []),
        ({"live_rows": 99_999, "analyzed": None, "row_bytes": None}, []),
        ({"live_rows": 100_000, "analyzed": None, "row_bytes": None}, ["never_analyzed"]),
        ({"live_rows": 100_000, "analyzed": None}, []),  # before the server crashed and forgot
        ({"changed_rows": 5 * MILLION, "analyzed": 6 * HOUR}, ["statistics_stale"]),
        ({"changed_rows": 5 * MILLION, "analyzed": 5 * HOUR}, []),
        ({"changed_rows": 5 * MILLION - 1, "analyzed": DAY}, []),
        ({"changed_rows": 5 * MILLION, "live_rows": 6 * MILLION, "analyzed": DAY}, []),
    ],
)  # fmt: skip
def test_how_a_table_lies_on_disk(change: dict[str, Any], found: list[str]) -> None:
    assert codes(Storage(tables=[attrs.evolve(TABLE, **change)])) == found


def test_how_the_whole_database_does() -> None:
    assert codes(Storage(database_age=500 * MILLION - 1)) == []
    assert codes(Storage(database_age=500 * MILLION)) == ["wraparound_near"]
    [finding] = Storage(database_age=1_500 * MILLION, database="d").findings()
    assert finding.fix.endswith("VACUUM (FREEZE, VERBOSE)")
    [finding] = Storage(autovacuum_problem="track_counts").findings()
    assert finding.fix == "ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf()"


@pytest.mark.parametrize(
    ("scan", "size_bytes", "found"),
    [
        (TableScan(node="Index Scan", index="job_ready_lane_idx"), GIB, []),
        (TableScan(node="Seq Scan", index=None), 8 * MIB - 1, []),
        (TableScan(node="Seq Scan", index=None), 8 * MIB, ["claim_plan!"]),
        (TableScan(node="Index Scan", index="job_ready_pkey"), 8 * MIB, ["claim_plan!"]),
    ],
)
def test_the_plan_of_a_claim(scan: TableScan, size_bytes: int, found: list[str]) -> None:
    assert codes(ClaimPlan(scans=[scan], size_bytes=size_bytes)) == found


def test_a_claim_that_is_compiled() -> None:
    assert codes(ClaimPlan(compiled=True, user="u")) == ["claim_compiled"]


def holder(
    state: str | None, span: timedelta | None, transactions: int | None = 0, *, standby: bool = False
) -> Holder:
    session = ServerSession(pid=7, state=state, since=None if span is None else NOON, lasting=span)
    return Holder(session=session, transactions=transactions, standby=standby)


@pytest.mark.parametrize(
    ("held", "found"),
    [
        (holder("idle in transaction", 59 * SECOND), []),
        (holder("idle in transaction", MINUTE), ["transaction_idle"]),
        (holder("idle in transaction (aborted)", 30 * MINUTE), ["transaction_idle!"]),
        (holder("idle in transaction", 5 * MINUTE - SECOND, None), []),
        (holder("idle in transaction", 5 * MINUTE, None), ["transaction_left_open"]),
        (holder("idle in transaction", HOUR, None), ["transaction_left_open"]),
        (holder("active", 5 * MINUTE - SECOND), []),
        (holder("active", 5 * MINUTE), ["transaction_old"]),
        (holder("active", HOUR), ["transaction_old!"]),
        (holder(None, None, None), []),
        (holder(None, None, MILLION - 1), []),
        (holder(None, None, MILLION), ["transaction_old"]),
        (holder(None, None, 50 * MILLION), ["transaction_old!"]),
        (holder(None, None, MILLION - 1, standby=True), []),
        (holder("active", None, MILLION, standby=True), ["standby_horizon"]),
        (holder("active", None, 50 * MILLION, standby=True), ["standby_horizon!"]),
    ],
)
def test_sessions_that_hold_old_snapshots(held: Holder, found: list[str]) -> None:
    assert codes(Horizon(holders=[held])) == found


@pytest.mark.parametrize(
    ("span", "found"),
    [(299 * SECOND, []), (5 * MINUTE, ["transaction_prepared"]), (HOUR, ["transaction_prepared!"])],
)
def test_prepared_transactions(span: timedelta, found: list[str]) -> None:
    horizon = Horizon(prepared=[Prepared(gid="it's", user="u", since=NOON, lasting=span)])
    assert codes(horizon) == found
    assert all("ROLLBACK PREPARED 'it''s'" in finding.fix for finding in horizon.findings())


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"transactions": MILLION - 1, "retained_bytes": GIB - 1, "active": False}, []),
        ({"transactions": MILLION, "active": False}, ["slot_horizon"]),
        ({"transactions": 50 * MILLION, "active": False}, ["slot_horizon!"]),
        ({"transactions": MILLION}, ["standby_horizon"]),
        ({"transactions": 50 * MILLION}, ["standby_horizon!"]),
        ({"catalog_transactions": MILLION - 1}, []),
        ({"catalog_transactions": MILLION}, ["slot_catalogs"]),
        ({"catalog_transactions": 50 * MILLION}, ["slot_catalogs!"]),
        ({"retained_bytes": 20 * GIB}, []),
        ({"retained_bytes": GIB, "active": False}, ["slot_retains_wal"]),
        ({"retained_bytes": 10 * GIB, "active": False}, ["slot_retains_wal!"]),
    ],
)
def test_replication_slots(change: dict[str, Any], found: list[str]) -> None:
    slot = attrs.evolve(Slot(name="s", kind="physical", active=True), **change)
    assert codes(Horizon(slots=[slot])) == found


@pytest.mark.parametrize(
    ("most", "used", "found"),
    [
        (100, 90, []), (100, 91, ["connections_few"]), (100, 98, ["connections_few"]), (100, 99, ["connections_few!"]),
        (20, 15, []), (20, 16, ["connections_few"]), (20, 20, ["connections_few!"]),
    ],
)  # fmt: skip
def test_connections_left(most: int, used: int, found: list[str]) -> None:
    limit = Limit(setting="max_connections", most=most, used=used)
    facts = Connections(limits=(limit,), ours=0)
    assert codes(facts) == found


@pytest.mark.parametrize(
    ("processes", "used", "ours", "found"),
    [
        (0, 0, 0, []),
        (1, 10, 10, []),
        (4, 10, 10, ["(connections_promised)"]),  # 100 without overflow, 260 with it
        (4, 11, 10, ["connections_promised"]),  # of 99
        (5, 0, 0, ["connections_promised"]),
    ],
)
def test_connections_that_pools_may_ask_for(processes: int, used: int, ours: int, found: list[str]) -> None:
    limit = Limit(setting="max_connections", most=100, used=used)
    pools = [Pools(steady=25, most=65)] * processes
    facts = Connections(limits=(limit,), ours=ours, pools=pools)
    assert codes(facts) == found
    assert all(one.found.startswith(f"{processes} processes may") for one in facts.findings())


def test_one_process_alone_may_ask_for_too_many() -> None:
    limit = Limit(setting="max_connections", most=60, used=1)
    [finding] = Connections(limits=(limit,), ours=1, pools=[Pools(steady=25, most=65)]).findings()
    assert finding.found.startswith("1 process may ask for 65 connections")


RUNNING = RunningProcess(name="p", host="h", kind=ProcessKind.UP, version="1", running=DAY)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ([], []),
        ([{}], []),
        ([{"kind": ProcessKind.API}], ["reaper_missing"]),
        ([{"kind": ProcessKind.WORKER, "running": 2 * MINUTE}], ["reaper_missing"]),
        ([{"kind": ProcessKind.WORKER, "running": 2 * MINUTE - SECOND}], []),
        ([{"kind": ProcessKind.API}, {"kind": ProcessKind.REAPER}], []),
        ([{}, {"kind": ProcessKind.API, "version": "2"}], ["version_differs"]),
        ([{}, {"kind": ProcessKind.REAPER, "version": "2"}], ["version_differs"]),
        ([{}, {"kind": ProcessKind.CLIENT, "version": "2"}], []),
        ([{"loop_lag": 5 * SECOND - MILLISECOND}], []),
        ([{"loop_lag": 5 * SECOND}], ["loop_blocked"]),
        ([{"stuck_threads": 1}], ["threads_stuck"]),
        ([{"redis_up": True}], []),
        ([{"redis_up": False}], ["redis_lost"]),
    ],
)
def test_processes(changes: list[dict[str, Any]], found: list[str]) -> None:
    processes = [attrs.evolve(RUNNING, **change) for change in changes]
    assert codes(Processes(version="1", processes=processes)) == found


@pytest.mark.parametrize(
    ("usage", "found"),
    [(0.09, []), (0.1, ["notifications_pile_up"]), (0.5, ["notifications_pile_up!"])],
)
def test_the_queue_of_notifications(usage: float, found: list[str]) -> None:
    suspect = ServerSession(pid=7, lasting=HOUR)
    assert codes(Notifications(usage=usage)) == found
    named = Notifications(usage=usage, suspects=[suspect])
    assert codes(named) == found
    assert all("session 7 for 60 min" in finding.found for finding in named.findings())


@pytest.mark.parametrize(
    ("waiting", "blockers", "found"),
    [
        (2 * SECOND - MILLISECOND, 1, []), (2 * SECOND, 1, ["lock_wait"]), (30 * SECOND, 2, ["lock_wait!"]),
        (HOUR, 0, []),
    ],
)  # fmt: skip
def test_waits_for_locks(waiting: timedelta, blockers: int, found: list[str]) -> None:
    behind = [ServerSession(pid=pid) for pid in range(8, 8 + blockers)]
    wait = LockWait(session=ServerSession(pid=7), waiting=waiting, on="jobs", blockers=behind)
    assert codes(LockWaits(waits=[wait])) == found
    assert all(
        (", and 1 other" in one.found) == (blockers == 2) for one in LockWaits(waits=[wait]).findings()
    )


@pytest.mark.parametrize(
    ("ahead", "uncertainty", "found"),
    [
        (2 * SECOND - MILLISECOND, 0 * SECOND, []),
        (2 * SECOND, 0 * SECOND, ["clock_skewed"]),
        (-2 * SECOND, 0 * SECOND, ["clock_skewed"]),
        (2 * SECOND, MILLISECOND, []),
        (-MINUTE, 0 * SECOND, ["clock_skewed!"]),
    ],
)
def test_clocks(ahead: timedelta, uncertainty: timedelta, found: list[str]) -> None:
    reading = ClockReading(process="process 7", ahead=ahead, uncertainty=uncertainty)
    assert codes(Clocks(readings=[reading])) == found


CREW = Crew(
    worker="w", host="h", version="1", status=WorkerState.ACTIVE, queues=(), types=frozenset({"t"}), silent_for=SECOND
)  # fmt: skip
WORK = Work(version="1", heartbeat_timeout=90 * SECOND, crew=[CREW])


@pytest.mark.parametrize(
    ("states", "found"),
    [
        ([], ["workers_none!"]),
        ([WorkerState.STOPPED], ["workers_none!"]),
        ([WorkerState.DRAINING], ["workers_draining"]),
        ([WorkerState.DRAINING, WorkerState.ACTIVE], []),
    ],
)
def test_jobs_that_no_worker_takes(states: list[WorkerState], found: list[str]) -> None:
    crew = [attrs.evolve(CREW, status=state) for state in states]
    waits = Waiting(queue="q", type="t", oldest=SECOND)
    assert codes(attrs.evolve(WORK, crew=crew, waiting=[waits])) == found
    assert codes(attrs.evolve(WORK, crew=crew)) == []


def test_jobs_that_only_workers_know_which_drain_are_not_late() -> None:
    drains = [
        attrs.evolve(CREW, worker=f"d{n}", status=WorkerState.DRAINING, types=frozenset({"t", "u"}))
        for n in range(5)
    ]
    elsewhere = attrs.evolve(CREW, worker="e", types=frozenset({"u"}), queues=("p",))
    waiting = [Waiting(queue="q", type=kind, oldest=HOUR) for kind in ("t", "u")]
    work = attrs.evolve(WORK, crew=[*drains, elsewhere, CREW], waiting=waiting)
    assert codes(work) == ["workers_draining", "queue_late!"]
    [drained, _] = work.findings()
    assert drained.found == (
        "jobs of type u wait in queue q, the oldest for 60 min, and whoever could run them drains: d0, d1, d2 and 2 more"
    )
    assert codes(attrs.evolve(work, crew=[*drains, elsewhere])) == ["workers_draining", "workers_draining"]


@pytest.mark.parametrize(("worker", "found"), [("v", ["worker_stale"]), ("w", [])])
def test_workers_that_were_lost(worker: str, found: list[str]) -> None:
    lost = attrs.evolve(CREW, worker=worker, status=WorkerState.STALE, silent_for=HOUR)
    assert codes(attrs.evolve(WORK, crew=[lost, CREW])) == found
    assert codes(attrs.evolve(WORK, crew=[lost])) == ["worker_stale"]


@pytest.mark.parametrize(
    ("silent_for", "found"),
    [
        (90 * SECOND, []),
        (91 * SECOND, ["worker_silent"]),
        (540 * SECOND, ["worker_silent"]),
        (541 * SECOND, ["worker_silent", "reaper_missing!"]),
    ],
)
def test_workers_that_are_silent(silent_for: timedelta, found: list[str]) -> None:
    work = attrs.evolve(WORK, crew=[attrs.evolve(CREW, silent_for=silent_for)])
    assert codes(work) == found
    stopped = attrs.evolve(CREW, silent_for=silent_for, status=WorkerState.STOPPED)
    assert codes(attrs.evolve(WORK, crew=[stopped])) == []


@pytest.mark.parametrize(
    ("oldest", "found"), [(299 * SECOND, []), (5 * MINUTE, ["queue_late"]), (HOUR, ["queue_late!"])]
)
def test_jobs_that_are_late(oldest: timedelta, found: list[str]) -> None:
    work = attrs.evolve(WORK, waiting=[Waiting(queue="q", type="t", oldest=oldest)])
    assert codes(work) == found
    assert codes(attrs.evolve(work, crew=[attrs.evolve(CREW, queues=("q",))])) == found
    assert codes(attrs.evolve(work, paused=frozenset({"q"}))) == ["queue_paused"]


def test_jobs_are_late_beside_a_queue_that_is_paused() -> None:
    waiting = [Waiting(queue=queue, type="t", oldest=oldest) for queue, oldest in (("p", DAY), ("q", HOUR))]
    assert codes(attrs.evolve(WORK, waiting=waiting, paused=frozenset("p"))) == [
        "queue_paused",
        "queue_late!",
    ]


def test_jobs_of_a_queue_that_nobody_serves_are_not_late_as_well() -> None:
    waiting = [Waiting(queue="q", type=kind, oldest=HOUR) for kind in ("t", "u")]
    crew = [attrs.evolve(CREW, queues=("p",))]
    assert codes(attrs.evolve(WORK, crew=crew, waiting=waiting)) == ["queue_unserved", "type_unhandled"]
    assert codes(attrs.evolve(WORK, crew=[], waiting=waiting)) == ["workers_none!"]


@pytest.mark.parametrize(("jobs", "found"), [(9, []), (10, ["dlq_growing"])])
def test_jobs_that_died_lately(jobs: int, found: list[str]) -> None:
    assert codes(attrs.evolve(WORK, died=[Died(queue="q", jobs=jobs)])) == found


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"version": "6.2.14"}, []),
        ({"version": "6.0.20"}, ["redis_old"]),
        ({"version": "6.2"}, []),
        ({"version": "5.0", "forked": True}, []),
        ({"role": "replica"}, ["redis_replica"]),
        ({"memory_bytes": 100}, []),
        ({"memory_bytes": 89, "memory_limit_bytes": 100}, []),
        ({"memory_bytes": 90, "memory_limit_bytes": 100}, ["redis_full"]),
        ({"memory_bytes": 90, "memory_limit_bytes": 100, "policy": "volatile-ttl"}, ["redis_evicting"]),
        ({"clients": 89, "clients_limit": 100}, []),
        ({"clients": 90, "clients_limit": 100}, ["redis_clients"]),
        ({"answer": 9 * MILLISECOND}, []),
        ({"answer": 10 * MILLISECOND}, ["redis_slow"]),
    ],
)
def test_the_redis_server(change: dict[str, Any], found: list[str]) -> None:
    assert codes(attrs.evolve(RedisServer(version="8.0.1", role="master"), **change)) == found
