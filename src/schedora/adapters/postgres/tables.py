"""The tables, hot and cold apart.

- ``jobs`` is the wide record. A claim does not write to it. None of its indexes is on a column that a claim or
  a plain success changes, so those updates stay HOT; that includes the predicates of partial indexes, which is
  why ``dead_at`` exists beside ``status``.
- ``job_ready`` is narrow and holds exactly the jobs that can be claimed, now or later. A claim deletes from it.
- ``job_leases`` holds who runs what, under which proof. A completion deletes from it: that delete is the fence.

SCHEDULED and RUNNING are not in ``jobs.status``: a job with a lease is RUNNING once the lease says when its
attempt started, SCHEDULED until then.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB, TIMESTAMP, UUID

from schedora.domain.job_request import PRIORITY_MAX, PRIORITY_MIN
from schedora.domain.job_state import HELD, PASSING, JobState
from schedora.domain.retry import RetryKind
from schedora.domain.worker import WorkerState

RESTING = tuple(state for state in JobState if state not in HELD | PASSING)
"""What ``jobs.status`` can be: the states that a job can be in without a lease."""

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)


def _instant(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, TIMESTAMP(timezone=True), nullable=nullable)


def _tenant() -> Column[int]:
    return Column("tenant_id", Integer, nullable=False, server_default=text("1"))


def _one_of(column: str, values: tuple[str, ...], name: str) -> CheckConstraint:
    return CheckConstraint(f"{column} in ({', '.join(repr(str(value)) for value in values)})", name=name)


jobs = Table(
    "jobs",
    metadata,
    Column("job_id", UUID, nullable=False),
    _tenant(),
    Column("type", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("idempotency_key", Text),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    _instant("requested_at"),  # the request's own scheduled_at, as given
    _instant("scheduled_at", nullable=False),
    Column("retry_kind", Text, nullable=False),
    Column("max_retries", SmallInteger, nullable=False),
    Column("retry_base_us", BigInteger, nullable=False),
    Column("retry_max_us", BigInteger, nullable=False),
    Column("timeout_us", BigInteger, nullable=False),
    Column("workflow_id", UUID),
    Column("key", Text),
    Column("depends_on", ARRAY(UUID)),  # null where there is none
    Column("waits_for", Integer, nullable=False, server_default=text("0")),
    Column("status", Text, nullable=False, server_default=text("'PENDING'")),
    Column("suspect", Boolean, nullable=False, server_default=text("false")),
    Column("worker_id", Text),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("retry_count", Integer, nullable=False, server_default=text("0")),
    Column(
        "lease_token", BigInteger, nullable=False, server_default=text("0")
    ),  # of the last lease that ended
    Column("worker_deaths", Integer, nullable=False, server_default=text("0")),
    _instant("created_at", nullable=False),
    _instant("claimed_at"),
    _instant("started_at"),
    _instant("completed_at"),
    _instant("dead_at"),  # completed_at of a DEAD job; null in every other state
    Column("error_message", Text),
    Column("errors", JSONB),  # null where there is none
    Column("history", JSONB),  # null where there is none
    Column("result", JSON),
    Column("traceparent", Text, nullable=False),
    PrimaryKeyConstraint("job_id"),
    UniqueConstraint("tenant_id", "idempotency_key"),
    _one_of("status", RESTING, "status"),
    _one_of("retry_kind", tuple(RetryKind), "retry_kind"),
    CheckConstraint(f"priority between {PRIORITY_MIN} and {PRIORITY_MAX}", name="priority"),
    CheckConstraint("waits_for >= 0", name="waits_for"),
    CheckConstraint("(status = 'DEAD') = (dead_at is not null)", name="dead_at"),
    Index("jobs_workflow_idx", "workflow_id", "job_id", postgresql_where=text("workflow_id is not null")),
    Index("jobs_dead_idx", "job_id", postgresql_where=text("dead_at is not null")),
    Index("jobs_blocked_idx", "job_id", postgresql_where=text("waits_for > 0")),
    # Jobs that lie side by side end in one transaction: every row of a page needs room for a second version, and
    # an ended job is wider than a new one.
    postgresql_with={"fillfactor": "45"},
)

_BUSY = {
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_vacuum_threshold": "5000",
    "autovacuum_vacuum_cost_delay": "0",
}
"""Of tables whose rows come and go with every job."""

job_ready = Table(
    "job_ready",
    metadata,
    Column("job_id", UUID, nullable=False),
    _tenant(),
    Column("queue", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("type", Text, nullable=False),
    _instant("scheduled_at", nullable=False),
    Column("status", Text, nullable=False, server_default=text("'PENDING'")),
    PrimaryKeyConstraint("job_id"),
    # A lane is one tenant, queue, priority and type. Within a lane jobs stand in the order of claims, so that a
    # claim reads what it takes and nothing else: not what is not due, not what is of another type.
    Index("job_ready_lane_idx", "tenant_id", "queue", "priority", "type", "scheduled_at", "job_id"),
    # Few wait for a retry: they are listed and counted without reading all that wait.
    Index(
        "job_ready_retrying_idx",
        "job_id",
        postgresql_include=["tenant_id", "queue"],
        postgresql_where=text("status = 'RETRYING'"),
    ),
    postgresql_with=_BUSY,
)

job_leases = Table(
    "job_leases",
    metadata,
    Column("job_id", UUID, nullable=False),
    _tenant(),
    Column("lease_id", UUID, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("owner", UUID, nullable=False),
    Column("worker_id", Text, nullable=False),
    Column("workflow_id", UUID),  # the job's: tells what runs of a workflow without reading all of it
    _instant("claimed_at", nullable=False),
    _instant("started_at"),
    Column("progress", JSON),
    PrimaryKeyConstraint("job_id"),
    Index("job_leases_owner_idx", "owner"),
    Index("job_leases_workflow_idx", "workflow_id", postgresql_where=text("workflow_id is not null")),
    postgresql_with={"fillfactor": "70", **_BUSY},  # a start is written beside its claim
)

job_dependencies = Table(
    "job_dependencies",
    metadata,
    Column("upstream_id", UUID, nullable=False),
    Column("job_id", UUID, nullable=False),
    _tenant(),
    PrimaryKeyConstraint("upstream_id", "job_id"),
)

# How many jobs ended how, by queue: changes are appended, so that nobody waits for anybody, and summed up when
# read; now and then many rows are folded into one.
job_counts = Table(
    "job_counts",
    metadata,
    _tenant(),
    Column("queue", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    postgresql_with=_BUSY,
)

workflows = Table(
    "workflows",
    metadata,
    Column("workflow_id", UUID, nullable=False),
    _tenant(),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("config", JSON, nullable=False),
    _instant("created_at", nullable=False),
    _instant("completed_at"),
    _instant("canceled_at"),
    Column("total_jobs", Integer, nullable=False, server_default=text("0")),
    Column("succeeded_jobs", Integer, nullable=False, server_default=text("0")),
    Column("failed_jobs", Integer, nullable=False, server_default=text("0")),
    Column("canceled_jobs", Integer, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("workflow_id"),
    UniqueConstraint("tenant_id", "name"),
    CheckConstraint("least(total_jobs, succeeded_jobs, failed_jobs, canceled_jobs) >= 0", name="counts"),
    Index("workflows_open_idx", "workflow_id", postgresql_where=text("completed_at is null")),
    postgresql_with={"fillfactor": "70"},
)

queues = Table(
    "queues",
    metadata,
    _tenant(),
    Column("name", Text, nullable=False),
    _instant("paused_at"),
    # How long its ended jobs are kept; null: as everywhere.
    Column("retention_success", Interval),
    Column("retention_canceled", Interval),
    Column("retention_dead", Interval),
    PrimaryKeyConstraint("tenant_id", "name"),
)

_NIL = text("'00000000-0000-0000-0000-000000000000'")

# How far the search for expired records has come, one row for each kind: all processes go on from there.
sweeps = Table(
    "sweeps",
    metadata,
    Column("name", Text, nullable=False),
    Column("position", UUID, nullable=False, server_default=_NIL),
    Column("cleared", UUID, nullable=False, server_default=_NIL),  # nothing is left up to here
    Column("restarted_at", TIMESTAMP(timezone=True), nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("name"),
)

workers = Table(
    "workers",
    metadata,
    Column("incarnation", UUID, nullable=False),
    _tenant(),
    Column("worker_id", Text, nullable=False),
    Column("hostname", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("max_concurrent_jobs", Integer, nullable=False),
    Column("queues", ARRAY(Text), nullable=False),
    Column("types", ARRAY(Text), nullable=False),
    Column("status", Text, nullable=False),
    _instant("registered_at", nullable=False),
    _instant("last_heartbeat", nullable=False),
    Column("cpu_percent", Double),
    Column("memory_percent", Double),
    Column("death", JSON),  # how its process ended, where that was seen
    Column("stuck_threads", Integer, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("incarnation"),
    _one_of("status", tuple(WorkerState), "status"),
    Index("workers_worker_id_idx", "worker_id"),
    postgresql_with={"fillfactor": "50"},
)

# What each process tells of itself every few seconds.
processes = Table(
    "processes",
    metadata,
    Column("process_id", UUID, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("hostname", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    _instant("started_at", nullable=False),
    _instant("seen_at", nullable=False),  # by the database's clock
    _instant("clock_at", nullable=False),  # by the process's own, as it wrote
    Column("gauges", JSON, nullable=False),
    PrimaryKeyConstraint("process_id"),
    postgresql_with={"fillfactor": "50"},
)

# What happened, for whoever looks on: one row a batch, kept for minutes. Appended one after the other, so that ids are
# in the order of commits.
events = Table(
    "events",
    metadata,
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("amount", Integer, nullable=False),  # of notices
    Column("lost", Integer, nullable=False),  # that came before these
    Column("notices", JSON, nullable=False),
    PrimaryKeyConstraint("id"),
)

# One row: until when there is a listener, and how far events were removed.
event_feed = Table(
    "event_feed",
    metadata,
    Column("one", Boolean, nullable=False, server_default=text("true")),
    _instant("attended_until"),
    Column("pruned_to", BigInteger, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("one"),
    CheckConstraint("one", name="one"),
    postgresql_with={"fillfactor": "50"},
)

# One row: since when, without a gap, somebody has been looking for silent workers.
worker_watch = Table(
    "worker_watch",
    metadata,
    Column("one", Boolean, nullable=False, server_default=text("true")),
    _instant("watched_since", nullable=False),
    _instant("watched_at", nullable=False),
    PrimaryKeyConstraint("one"),
    CheckConstraint("one", name="one"),
    postgresql_with={"fillfactor": "50"},
)

# One row: the oldest revision that code must know to work on this schema, whatever came after it.
schema_compatibility = Table(
    "schema_compatibility",
    metadata,
    Column("one", Boolean, nullable=False, server_default=text("true")),
    Column("since", Text, nullable=False),
    PrimaryKeyConstraint("one"),
    CheckConstraint("one", name="one"),
)

metric_totals = Table(
    "metric_totals",
    metadata,
    Column("name", Text, nullable=False),
    Column("labels", Text, nullable=False),  # a JSON array of pairs, encoded one way: part of the key
    _tenant(),
    Column("value", Double, nullable=False),
    PrimaryKeyConstraint("name", "labels"),
    postgresql_with={"fillfactor": "50"},
)

# What runs leave beside their outcomes: one row a run, of the newest runs of a job; gone with the job.
run_logs = Table(
    "trails",
    metadata,
    Column("job_id", UUID, nullable=False),
    Column("token", BigInteger, nullable=False),
    _tenant(),
    Column("attempt", Integer, nullable=False),
    Column("worker_id", Text, nullable=False),
    Column("lines", Text, nullable=False),  # JSON objects, one a line
    Column("lines_dropped", Integer, nullable=False),
    Column("spans", Text, nullable=False),  # JSON objects, one a line
    Column("spans_dropped", Integer, nullable=False),
    PrimaryKeyConstraint("job_id", "token"),
    postgresql_with={"fillfactor": "50"},  # a run that goes on is written again and again
)

# Requests that submitted jobs, for their spans: a batch a row, whose id is the number of its last among all.
request_spans = Table(
    "request_spans",
    metadata,
    Column("id", BigInteger, Identity(), nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("span_ids", ARRAY(BigInteger), nullable=False),
    Column("requests", Text, nullable=False),  # JSON
    PrimaryKeyConstraint("id"),
    Index("request_spans_at_idx", "at"),
)

# Token buckets that are not full: a full one is the same as none.
token_buckets = Table(
    "token_buckets",
    metadata,
    _tenant(),
    Column("name", Text, nullable=False),
    _instant("full_at", nullable=False),
    Column("rest", BigInteger, nullable=False),  # and so many parts of a microsecond, as its limit divides it
    PrimaryKeyConstraint("tenant_id", "name"),
    postgresql_with={"fillfactor": "50"},  # a bucket in use is written again and again
)
