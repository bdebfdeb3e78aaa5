"""What findings say, in words and in values: people read the one, programs the other."""

import importlib
import pkgutil
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import attrs
import pytest

from schedora.domain import checks
from schedora.domain.checks.claim import ClaimPlan, TableScan
from schedora.domain.checks.clocks import ClockReading, Clocks
from schedora.domain.checks.connections import Connections, Limit, Pools
from schedora.domain.checks.horizon import Holder, Horizon, Prepared, Slot
from schedora.domain.checks.locks import LockWait, LockWaits
from schedora.domain.checks.notifications import Notifications
from schedora.domain.checks.pooler import Pooler
from schedora.domain.checks.processes import Processes, RunningProcess
from schedora.domain.checks.reach import DatabaseReach, MemoryStoreInUse, RedisReach
from schedora.domain.checks.redis import RedisServer
from schedora.domain.checks.schema import Index, Schema, Table
from schedora.domain.checks.server import Server
from schedora.domain.checks.sessions import ServerSession
from schedora.domain.checks.storage import IndexSize, Storage, StoredTable
from schedora.domain.checks.work import Crew, Died, Waiting, Work
from schedora.domain.finding import Ailment, Detail, Observation, Severity
from schedora.domain.process import ProcessKind
from schedora.domain.worker import WorkerState
from tests.builders import NOON

OK, WARNING, CRITICAL = Severity
SECOND, MINUTE, HOUR = (timedelta(seconds=seconds) for seconds in (1, 60, 3_600))
FINE = timedelta(microseconds=123_600)
MILLION, GIB, MIB = 1_000_000, 1 << 30, 1 << 20
SERVER = Server(
    version=17,
    version_text="17.2",
    database="d",
    user="u",
    standby=False,
    read_only=False,
    fsync=True,
    full_page_writes=True,
    synchronous_commit="on",
    isolation="read committed",
)
POOLER = Pooler(said=False, between=False, shared=False, told_version="17.2", version="17.2")
INDEX = Index(
    table="t", name="i", columns=("a",), unique=False, partial=False, definition="CREATE INDEX i ON t (a)"
)
TABLE = Table(name="t", columns=frozenset({"a", "b"}), indexes=(INDEX,), options={"fillfactor": "70"})


def schema(table: Table) -> Schema:
    return Schema(revision="3", known=("1", "2", "3"), tables=[table], wanted=[TABLE])


STORED = StoredTable(
    name="t",
    live_rows=1_000,
    dead_rows=10,
    changed_rows=0,
    size_bytes=8192,
    row_bytes=100,
    vacuumed=MINUTE,
    analyzed=MINUTE,
)


def storage(**change: Any) -> Storage:
    return Storage(tables=[attrs.evolve(STORED, **change)])


PSQL = ServerSession(pid=7, application_name="psql", user="ada", state="active", query="select ?")
IDLE = attrs.evolve(PSQL, state="idle in transaction", lasting=HOUR)
BACKEND = attrs.evolve(PSQL, state=None, query=None)
WORKER = Crew(
    worker="w",
    host="h",
    version="1",
    status=WorkerState.ACTIVE,
    queues=(),
    types=frozenset({"t"}),
    silent_for=SECOND,
)


def work(**change: Any) -> Work:
    return attrs.evolve(Work(version="1", heartbeat_timeout=90 * SECOND, crew=[WORKER]), **change)


REDIS = RedisServer(version="8.0.1", role="master")


TOLD: Sequence[tuple[Observation, list[tuple[str, Severity, str, dict[str, Detail]]]]] = [
    (DatabaseReach(problem="no route"), [("database_away", CRITICAL, "no route", {})]),
    (
        DatabaseReach(problem="no settings", settings_refused=True, full=True),
        [("pooler_unsaid", CRITICAL, "no settings", {})],
    ),
    (
        DatabaseReach(problem="too many clients", full=True),
        [("connections_few", CRITICAL, "too many clients", {})],
    ),
    (RedisReach(problem="no route"), [("redis_away", WARNING, "no route", {})]),
    (RedisReach(configured=False), [("redis_none", OK, "no Redis is configured", {})]),
    (MemoryStoreInUse(), [("memory_store", OK, "everything is kept in the memory of this process", {})]),
    (
        attrs.evolve(SERVER, version=14, version_text="14.9"),
        [("server_too_old", CRITICAL, "the server is PostgreSQL 14.9", {"version": "14.9"})],
    ),
    (
        attrs.evolve(SERVER, version=19, version_text="19beta1"),
        [("server_unproven", WARNING, "the server is PostgreSQL 19beta1", {"version": "19beta1"})],
    ),
    (
        attrs.evolve(SERVER, standby=True),
        [("server_standby", CRITICAL, "the server is a standby, which takes no writes", {})],
    ),
    (
        attrs.evolve(SERVER, read_only=True),
        [
            (
                "server_read_only",
                CRITICAL,
                "transactions are read-only by default (default_transaction_read_only)",
                {"database": "d"},
            )
        ],
    ),
    (
        attrs.evolve(
            SERVER, fsync=False, full_page_writes=False, synchronous_commit="off", standbys_missing=True
        ),
        [
            ("fsync_off", CRITICAL, "fsync is off", {}),
            ("full_page_writes_off", WARNING, "full_page_writes is off", {}),
            ("commits_not_durable", CRITICAL, "synchronous_commit is off", {}),
            (
                "commits_wait",
                CRITICAL,
                "synchronous_standby_names asks for a standby, and there is none that is synchronous",
                {},
            ),
        ],
    ),
    (
        attrs.evolve(SERVER, isolation="serializable"),
        [
            (
                "isolation_raised",
                WARNING,
                "transactions are serializable by default (default_transaction_isolation)",
                {"database": "d", "isolation": "serializable"},
            )
        ],
    ),
    (
        attrs.evolve(SERVER, lock_timeout=0.5 * SECOND, transaction_timeout=2 * SECOND),
        [
            (
                "timeout_short",
                CRITICAL,
                "lock_timeout is 0.5 s",
                {"setting": "lock_timeout", "seconds": 0.5, "user": "u"},
            ),
            (
                "timeout_short",
                WARNING,
                "transaction_timeout is 2 s",
                {"setting": "transaction_timeout", "seconds": 2.0, "user": "u"},
            ),
        ],
    ),
    (
        attrs.evolve(SERVER, idle_session_timeout=1.5 * SECOND),
        [("idle_sessions_cut", WARNING, "idle_session_timeout is 1.5 s", {"seconds": 1.5, "user": "u"})],
    ),
    (
        attrs.evolve(POOLER, between=True, shared=True),
        [
            (
                "pooler_unsaid",
                CRITICAL,
                "a pooler hands sessions on from transaction to transaction, and DATABASE_URL does not say so",
                {},
            )
        ],
    ),
    (
        attrs.evolve(POOLER, said=True),
        [
            (
                "pooler_needless",
                WARNING,
                "DATABASE_URL says that a pooler stands before the server, and sessions are the server's own",
                {},
            )
        ],
    ),
    (
        attrs.evolve(POOLER, told_version="16.1"),
        [
            (
                "server_version_mixed",
                WARNING,
                "connections are told PostgreSQL 16.1, and are led to 17.2",
                {"told": "16.1", "version": "17.2"},
            )
        ],
    ),
    (
        Schema(revision=None, known=("1", "2", "3")),
        [("schema_none", CRITICAL, "the database has no tables of Schedora", {})],
    ),
    (
        Schema(revision="1", known=("1", "2", "3")),
        [
            (
                "schema_behind",
                CRITICAL,
                "the schema is 1, this version needs 3",
                {"revision": "1", "newest": "3"},
            )
        ],
    ),
    (
        Schema(revision="4", known=("1", "2", "3")),
        [
            (
                "schema_ahead",
                CRITICAL,
                "the schema is 4, newer than this version knows (3)",
                {"revision": "4", "newest": "3"},
            )
        ],
    ),
    (
        Schema(revision="3", known=("1", "2", "3"), wanted=[TABLE]),
        [("table_missing", CRITICAL, "table t is missing", {"table": "t"})],
    ),
    (
        schema(attrs.evolve(TABLE, columns=frozenset())),
        [
            ("column_missing", CRITICAL, "column a of t is missing", {"table": "t", "column": "a"}),
            ("column_missing", CRITICAL, "column b of t is missing", {"table": "t", "column": "b"}),
        ],
    ),
    (
        schema(attrs.evolve(TABLE, indexes=())),
        [
            (
                "index_missing",
                CRITICAL,
                "index i on t is missing",
                {"table": "t", "index": "i", "definition": "CREATE INDEX i ON t (a)"},
            )
        ],
    ),
    (
        schema(attrs.evolve(TABLE, indexes=(attrs.evolve(INDEX, valid=False),))),
        [
            (
                "index_invalid",
                CRITICAL,
                "index i on t is invalid: what was to make it has failed",
                {"table": "t", "index": "i"},
            )
        ],
    ),
    (
        schema(attrs.evolve(TABLE, indexes=(attrs.evolve(INDEX, columns=("b",)),))),
        [
            (
                "index_differs",
                CRITICAL,
                "index i on t is not the one that Schedora made",
                {"table": "t", "index": "i", "definition": "CREATE INDEX i ON t (a)"},
            )
        ],
    ),
    (
        schema(
            attrs.evolve(
                TABLE,
                indexes=(
                    INDEX,
                    *(
                        attrs.evolve(INDEX, name=name, valid=name != "x", unused=name == "y")
                        for name in "xyz"
                    ),
                ),
            )
        ),
        [
            (
                "index_invalid",
                WARNING,
                "index x on t is invalid: what was to make it has failed",
                {"table": "t", "index": "x"},
            ),
            (
                "index_foreign",
                WARNING,
                "index y on t is not one of Schedora's, and nothing has used it",
                {"table": "t", "index": "y", "unused": True},
            ),
            (
                "index_foreign",
                OK,
                "index z on t is not one of Schedora's",
                {"table": "t", "index": "z", "unused": False},
            ),
        ],
    ),
    (
        schema(attrs.evolve(TABLE, options={})),
        [
            (
                "options_differ",
                WARNING,
                "t has fillfactor = (unset), Schedora made it with 70",
                {"table": "t", "option": "fillfactor", "value": None, "change": "SET (fillfactor = 70)"},
            )
        ],
    ),
    (
        schema(
            attrs.evolve(
                TABLE, options={"autovacuum_enabled": "false", "fillfactor": "70", "parallel_workers": "4"}
            )
        ),
        [
            (
                "options_differ",
                OK,
                "t has parallel_workers = 4, Schedora made it with (unset)",
                {
                    "table": "t",
                    "option": "parallel_workers",
                    "value": "4",
                    "change": "RESET (parallel_workers)",
                },
            )
        ],
    ),
    (
        Storage(autovacuum_problem="track_counts", database="d", database_age=1_500 * MILLION),
        [
            (
                "autovacuum_off",
                CRITICAL,
                "track_counts is off in the whole server",
                {"table": None, "command": "ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf()"},
            ),
            (
                "wraparound_near",
                CRITICAL,
                "the oldest transaction in database d is 1,500,000,000 transactions old",
                {"table": "", "age": 1500000000},
            ),
        ],
    ),
    (
        storage(autovacuum=False),
        [
            (
                "autovacuum_off",
                CRITICAL,
                "autovacuum is off for t",
                {"table": "t", "command": "ALTER TABLE t RESET (autovacuum_enabled)"},
            )
        ],
    ),
    (
        storage(toast_autovacuum=False),
        [
            (
                "autovacuum_off",
                CRITICAL,
                "autovacuum is off for the large values of t",
                {"table": "t", "command": "ALTER TABLE t RESET (toast.autovacuum_enabled)"},
            )
        ],
    ),
    (
        storage(dead_rows=500_000, vacuumed=None),
        [
            (
                "dead_rows",
                WARNING,
                "t has 500,000 dead rows beside 1,000 live ones, and was never vacuumed",
                {"table": "t", "dead_rows": 500000, "live_rows": 1000, "vacuumed_seconds": None},
            )
        ],
    ),
    (
        storage(dead_rows=5 * MILLION, vacuumed=90 * SECOND),
        [
            (
                "dead_rows",
                WARNING,
                "t has 5,000,000 dead rows beside 1,000 live ones, and was vacuumed 90 s ago",
                {"table": "t", "dead_rows": 5000000, "live_rows": 1000, "vacuumed_seconds": 90.0},
            )
        ],
    ),
    (
        storage(age=500 * MILLION),
        [
            (
                "wraparound_near",
                WARNING,
                "the oldest transaction in t is 500,000,000 transactions old",
                {"table": "t", "age": 500000000},
            )
        ],
    ),
    (
        storage(size_bytes=512 * MIB, indexes=(IndexSize(name="i", size_bytes=GIB, row_bytes=50),)),
        [
            (
                "table_bloated",
                WARNING,
                "t takes 512.0 MB for 1,010 rows of about 100 bytes",
                {"table": "t", "size_bytes": 536870912, "rows": 1010, "row_bytes": 100},
            ),
            (
                "index_bloated",
                WARNING,
                "i takes 1.0 GB for 1,010 rows",
                {"table": "t", "index": "i", "size_bytes": 1073741824, "rows": 1010},
            ),
        ],
    ),
    (
        storage(live_rows=100_000, row_bytes=None, analyzed=None),
        [
            (
                "never_analyzed",
                WARNING,
                "t has 100,000 rows and was never analyzed",
                {"table": "t", "live_rows": 100000},
            )
        ],
    ),
    (
        storage(changed_rows=5 * MILLION, analyzed=6 * HOUR),
        [
            (
                "statistics_stale",
                WARNING,
                "5,000,000 rows of t have changed since it was analyzed, 6 h ago",
                {"table": "t", "changed_rows": 5000000, "analyzed_seconds": 21600.0},
            )
        ],
    ),
    (
        ClaimPlan(
            scans=[
                TableScan(node="Seq Scan", index=None),
                TableScan(node="Index Scan", index="job_ready_pkey"),
            ],
            size_bytes=9 * MIB,
        ),
        [
            (
                "claim_plan",
                CRITICAL,
                "a claim would go through job_ready (9.0 MB) by other ways than job_ready_lane_idx: Index Scan by job_ready_pkey, Seq Scan by no index",
                {"ways": "Index Scan by job_ready_pkey, Seq Scan by no index", "size_bytes": 9437184},
            )
        ],
    ),
    (
        ClaimPlan(compiled=True, user="u"),
        [("claim_compiled", WARNING, "the server would compile each claim (jit)", {"user": "u"})],
    ),
    (
        Horizon(holders=[Holder(session=PSQL, transactions=2 * MILLION)]),
        [
            (
                "transaction_old",
                WARNING,
                "session 7 (psql, user ada, active) holds a snapshot that 2,000,000 transactions have begun since",
                {**PSQL.details, "transactions": 2000000},
            )
        ],
    ),
    (
        Horizon(holders=[Holder(session=attrs.evolve(PSQL, lasting=HOUR))]),
        [
            (
                "transaction_old",
                CRITICAL,
                "session 7 (psql, user ada, active) for 60 min is in one transaction: select ?",
                {
                    "pid": 7,
                    "application_name": "psql",
                    "user": "ada",
                    "database": None,
                    "client": None,
                    "state": "active",
                    "since": None,
                    "seconds": 3600.0,
                    "query": "select ?",
                    "transactions": None,
                },
            )
        ],
    ),
    (
        Horizon(holders=[Holder(session=IDLE)]),
        [
            (
                "transaction_left_open",
                WARNING,
                "session 7 (psql, user ada, idle in transaction) for 60 min has left a transaction open: select ?",
                {**IDLE.details, "transactions": None},
            )
        ],
    ),
    (
        Horizon(holders=[Holder(session=IDLE, transactions=1)]),
        [
            (
                "transaction_idle",
                CRITICAL,
                "session 7 (psql, user ada, idle in transaction) for 60 min has left a transaction open that holds a snapshot, or has written: select ?",
                {**IDLE.details, "transactions": 1},
            )
        ],
    ),
    (
        Horizon(holders=[Holder(session=BACKEND, transactions=2 * MILLION, standby=True)]),
        [
            (
                "standby_horizon",
                WARNING,
                "a standby (session 7 (psql, user ada)) asks for rows that 2,000,000 transactions have begun since",
                {**BACKEND.details, "transactions": 2000000},
            )
        ],
    ),
    (
        Horizon(prepared=[Prepared(gid="it's", user="ada", since=NOON, lasting=HOUR + FINE)]),
        [
            (
                "transaction_prepared",
                CRITICAL,
                'transaction "it\'s" of user ada has been prepared for 60 min and was never ended',
                {"gid": "it's", "user": "ada", "since": "2030-01-01T12:00:00+00:00", "seconds": 3600.124},
            )
        ],
    ),
    (
        Horizon(
            slots=[
                Slot(
                    name="s",
                    kind="logical",
                    active=False,
                    transactions=2 * MILLION,
                    catalog_transactions=3 * MILLION,
                    retained_bytes=3 * GIB,
                )
            ]
        ),
        [
            (
                "slot_horizon",
                WARNING,
                "logical replication slot s, which nobody uses, asks for rows that 2,000,000 transactions have begun since",
                {
                    "slot": "s",
                    "kind": "logical",
                    "active": False,
                    "transactions": 2000000,
                    "catalog_transactions": 3000000,
                    "retained_bytes": 3221225472,
                },
            ),
            (
                "slot_catalogs",
                WARNING,
                "logical replication slot s, which nobody uses, asks for rows of the catalogs that 3,000,000 transactions have begun since",
                {
                    "slot": "s",
                    "kind": "logical",
                    "active": False,
                    "transactions": 2000000,
                    "catalog_transactions": 3000000,
                    "retained_bytes": 3221225472,
                },
            ),
            (
                "slot_retains_wal",
                WARNING,
                "logical replication slot s, which nobody uses, keeps 3.0 GB of the write-ahead log",
                {
                    "slot": "s",
                    "kind": "logical",
                    "active": False,
                    "transactions": 2000000,
                    "catalog_transactions": 3000000,
                    "retained_bytes": 3221225472,
                },
            ),
        ],
    ),
    (
        Horizon(slots=[Slot(name="s", kind="physical", active=True, transactions=2 * MILLION)]),
        [
            (
                "standby_horizon",
                WARNING,
                "physical replication slot s, which is in use, asks for rows that 2,000,000 transactions have begun since",
                {
                    "slot": "s",
                    "kind": "physical",
                    "active": True,
                    "transactions": 2000000,
                    "catalog_transactions": None,
                    "retained_bytes": None,
                },
            )
        ],
    ),
    (
        Connections(
            limits=(
                Limit(setting="CONNECTION LIMIT of u", most=50, used=10),
                Limit(setting="max_connections", most=100, used=96),
            ),
            ours=3,
            pools=[Pools(steady=1, most=5)] * 2,
        ),
        [
            (
                "connections_few",
                WARNING,
                "96 of 100 connections are in use (max_connections)",
                {"setting": "max_connections", "limit": 100, "used": 96, "ours": 3},
            ),
            (
                "connections_promised",
                OK,
                "2 processes may ask for 10 connections (2 without overflow), and 7 are to be had (max_connections)",
                {"setting": "max_connections", "processes": 2, "steady": 2, "most": 10, "room": 7},
            ),
        ],
    ),
    (
        Connections(
            limits=(
                Limit(setting="max_connections", most=100, used=10),
                Limit(setting="CONNECTION LIMIT of u", most=20, used=10),
            ),
            ours=10,
            pools=[Pools(steady=25, most=65)],
        ),
        [
            (
                "connections_promised",
                WARNING,
                "1 process may ask for 65 connections (25 without overflow), and 20 are to be had (CONNECTION LIMIT of u)",
                {"setting": "CONNECTION LIMIT of u", "processes": 1, "steady": 25, "most": 65, "room": 20},
            )
        ],
    ),
    (
        Processes(
            version="1",
            processes=[
                RunningProcess(
                    name="p",
                    host="h",
                    kind=ProcessKind.API,
                    version="2",
                    running=2 * MINUTE,
                    loop_lag=5 * SECOND + FINE,
                    stuck_threads=2,
                    redis_up=False,
                )
            ],
        ),
        [
            (
                "version_differs",
                WARNING,
                "api p on h is of version 2, this is 1",
                {"process": "api p", "host": "h", "version": "2", "wanted": "1"},
            ),
            (
                "loop_blocked",
                WARNING,
                "the event loop of api p on h was kept for 5.1 s",
                {"process": "api p", "host": "h", "lag_seconds": 5.124},
            ),
            (
                "threads_stuck",
                WARNING,
                "2 threads of api p on h can't be stopped",
                {"process": "api p", "host": "h", "threads": 2},
            ),
            ("redis_lost", WARNING, "api p on h has lost Redis", {"process": "api p", "host": "h"}),
            ("reaper_missing", WARNING, "there is no reaper among 1 process that runs", {}),
        ],
    ),
    (
        Processes(
            version="1",
            processes=[
                RunningProcess(name="p", host="h", kind=ProcessKind.API, version="1", running=2 * MINUTE)
            ]
            * 2,
        ),
        [("reaper_missing", WARNING, "there is no reaper among 2 processes that run", {})],
    ),
    (
        Notifications(usage=0.25),
        [("notifications_pile_up", WARNING, "the queue of notifications is 25% full", {"usage": 0.25})],
    ),
    (
        Notifications(usage=0.5, suspects=[PSQL]),
        [
            (
                "notifications_pile_up",
                CRITICAL,
                "the queue of notifications is 50% full; the oldest transaction, which most likely holds it, is that of session 7 (psql, user ada, active)",
                {"usage": 0.5, **PSQL.details},
            )
        ],
    ),
    (
        LockWaits(
            waits=[
                LockWait(
                    session=PSQL,
                    waiting=2 * SECOND + FINE,
                    on="jobs",
                    blockers=[attrs.evolve(PSQL, pid=8), attrs.evolve(PSQL, pid=9)],
                    prepared="it's",
                )
            ]
        ),
        [
            (
                "lock_wait",
                WARNING,
                "session 7 of Schedora has waited for 2.1 s for a lock on jobs, behind session 8 (psql, user ada, active), and 1 other: select ?",
                {
                    "waiting_pid": 7,
                    "waiting_query": "select ?",
                    "waiting_seconds": 2.124,
                    "on": "jobs",
                    "blocker": 8,
                    "blocker_application_name": "psql",
                    "blocker_user": "ada",
                    "blocker_database": None,
                    "blocker_client": None,
                    "blocker_state": "active",
                    "blocker_since": None,
                    "blocker_seconds": None,
                    "blocker_query": "select ?",
                },
            ),
            (
                "lock_prepared",
                WARNING,
                'session 7 of Schedora has waited for 2.1 s for a lock on jobs, behind transaction "it\'s", which was prepared and never ended',
                {
                    "waiting_pid": 7,
                    "waiting_query": "select ?",
                    "waiting_seconds": 2.124,
                    "on": "jobs",
                    "gid": "it's",
                },
            ),
        ],
    ),
    (
        LockWaits(
            waits=[LockWait(session=PSQL, waiting=30 * SECOND, on="jobs", blockers=[ServerSession(pid=8)])]
        ),
        [
            (
                "lock_wait",
                CRITICAL,
                "session 7 of Schedora has waited for 30 s for a lock on jobs, behind session 8",
                {
                    "waiting_pid": 7,
                    "waiting_query": "select ?",
                    "waiting_seconds": 30.0,
                    "on": "jobs",
                    "blocker": 8,
                    "blocker_application_name": "",
                    "blocker_user": None,
                    "blocker_database": None,
                    "blocker_client": None,
                    "blocker_state": None,
                    "blocker_since": None,
                    "blocker_seconds": None,
                    "blocker_query": None,
                },
            )
        ],
    ),
    (
        Clocks(
            readings=[
                ClockReading(process="p", ahead=SECOND, uncertainty=FINE),
                ClockReading(process="q", ahead=2 * SECOND + 2 * FINE, uncertainty=FINE),
                ClockReading(process="r", ahead=-2 * SECOND - 2 * FINE, uncertainty=FINE),
            ]
        ),
        [
            (
                "clock_skewed",
                WARNING,
                "the clock of q is 2.2 s ahead of the database's",
                {"process": "q", "ahead_seconds": 2.247, "uncertainty_seconds": 0.124},
            ),
            (
                "clock_skewed",
                WARNING,
                "the clock of r is 2.2 s behind the database's",
                {"process": "r", "ahead_seconds": -2.247, "uncertainty_seconds": 0.124},
            ),
        ],
    ),
    (
        work(crew=[], waiting=[Waiting(queue="q", type="t", oldest=SECOND)]),
        [("workers_none", CRITICAL, "jobs wait, and there is no live worker", {})],
    ),
    (
        work(
            crew=[
                attrs.evolve(WORKER, status=WorkerState.STALE),
                WORKER,
                attrs.evolve(WORKER, worker="v", status=WorkerState.STALE, silent_for=HOUR + FINE),
            ]
        ),
        [
            (
                "worker_stale",
                WARNING,
                "worker v on h was declared lost; it was heard 60 min ago",
                {"worker": "v", "host": "h", "silent_seconds": 3600.124},
            )
        ],
    ),
    (
        work(crew=[attrs.evolve(WORKER, silent_for=HOUR + FINE)]),
        [
            (
                "worker_silent",
                WARNING,
                "worker w on h has not been heard for 60 min",
                {"worker": "w", "host": "h", "silent_seconds": 3600.124},
            ),
            (
                "reaper_missing",
                CRITICAL,
                "a worker has been silent for 60 min and nobody has declared it lost",
                {"silent_seconds": 3600.124},
            ),
        ],
    ),
    (
        work(crew=[attrs.evolve(WORKER, version="2")]),
        [
            (
                "version_differs",
                WARNING,
                "worker w on h is of version 2, this is 1",
                {"process": "worker w", "host": "h", "version": "2", "wanted": "1"},
            )
        ],
    ),
    (
        work(waiting=[Waiting(queue="q", type="u", oldest=HOUR + FINE)]),
        [
            (
                "type_unhandled",
                WARNING,
                "jobs of type u wait in queue q, the oldest for 60 min",
                {"queue": "q", "type": "u", "oldest_seconds": 3600.124},
            )
        ],
    ),
    (
        work(
            crew=[attrs.evolve(WORKER, queues=("p",))],
            waiting=[Waiting(queue="q", type="t", oldest=HOUR + FINE)],
        ),
        [
            (
                "queue_unserved",
                WARNING,
                "jobs of type t wait in queue q, the oldest for 60 min, and no worker serves both",
                {"queue": "q", "type": "t", "oldest_seconds": 3600.124},
            )
        ],
    ),
    (
        work(
            crew=[attrs.evolve(WORKER, status=WorkerState.DRAINING)],
            waiting=[Waiting(queue="q", type="t", oldest=HOUR + FINE)],
        ),
        [
            (
                "workers_draining",
                WARNING,
                "jobs of type t wait in queue q, the oldest for 60 min, and whoever could run them drains: w",
                {"queue": "q", "type": "t", "oldest_seconds": 3600.124, "workers": 1},
            )
        ],
    ),
    (
        work(
            paused=frozenset("p"),
            waiting=[
                Waiting(queue="p", type="t", oldest=SECOND),
                Waiting(queue="p", type="u", oldest=HOUR + FINE),
                Waiting(queue="q", type="t", oldest=MINUTE),
                Waiting(queue="q", type="t", oldest=2 * HOUR + FINE),
            ],
        ),
        [
            (
                "queue_paused",
                WARNING,
                "queue p is paused, and jobs wait in it, the oldest for 60 min",
                {"queue": "p", "oldest_seconds": 3600.124},
            ),
            (
                "queue_late",
                CRITICAL,
                "a job in queue q has been ready for 2 h",
                {"queue": "q", "oldest_seconds": 7200.124},
            ),
        ],
    ),
    (
        work(died=[Died(queue="q", jobs=12)]),
        [
            (
                "dlq_growing",
                WARNING,
                "12 jobs of queue q became DEAD within 60 min",
                {"queue": "q", "jobs": 12},
            )
        ],
    ),
    (
        attrs.evolve(REDIS, version="6.0.20"),
        [("redis_old", WARNING, "Redis is 6.0.20", {"version": "6.0.20"})],
    ),
    (
        attrs.evolve(REDIS, role="replica"),
        [("redis_replica", WARNING, "Redis is a replica", {"role": "replica"})],
    ),
    (
        attrs.evolve(REDIS, memory_bytes=90 * MIB, memory_limit_bytes=100 * MIB),
        [
            (
                "redis_full",
                WARNING,
                "Redis uses 90.0 MB of 100.0 MB (maxmemory), its policy is noeviction",
                {"memory_bytes": 94371840, "limit_bytes": 104857600, "policy": "noeviction"},
            )
        ],
    ),
    (
        attrs.evolve(REDIS, memory_bytes=90 * MIB, memory_limit_bytes=100 * MIB, policy="allkeys-lru"),
        [
            (
                "redis_evicting",
                WARNING,
                "Redis uses 90.0 MB of 100.0 MB (maxmemory), its policy is allkeys-lru",
                {"memory_bytes": 94371840, "limit_bytes": 104857600, "policy": "allkeys-lru"},
            )
        ],
    ),
    (
        attrs.evolve(REDIS, clients=90, clients_limit=100),
        [
            (
                "redis_clients",
                WARNING,
                "Redis has 90 clients of 100 (maxclients)",
                {"clients": 90, "limit": 100},
            )
        ],
    ),
    (
        attrs.evolve(REDIS, answer=timedelta(microseconds=12_345.6)),
        [("redis_slow", WARNING, "Redis takes 12 ms to answer at best", {"milliseconds": 12.346})],
    ),
]


@pytest.mark.parametrize(("facts", "told"), TOLD)
def test_what_is_told(facts: Observation, told: list[tuple[str, Severity, str, dict[str, Detail]]]) -> None:
    assert [(one.code, one.severity, one.found, one.details) for one in facts.findings()] == told


def test_each_ailment_is_told_above() -> None:
    modules = [
        importlib.import_module(f"{checks.__name__}.{found.name}")
        for found in pkgutil.iter_modules(checks.__path__)
    ]
    known = {
        value.code for module in modules for value in vars(module).values() if isinstance(value, Ailment)
    }
    assert {code for _, told in TOLD for code, *_ in told} == known
