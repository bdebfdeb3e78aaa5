"""The candidates: where what can be claimed stands, where the lease stands, and how the tables are cut."""

from __future__ import annotations

from enum import Enum

from attrs import frozen

STATUS_NUMBERS = {"PENDING": 0, "SCHEDULED": 1, "RETRYING": 2, "SUCCESS": 3, "DEAD": 4}


class Ready(Enum):
    """Where a claim looks."""

    KEYED = "narrow table with a primary key on job_id and an index in claim order"
    ORDERED = "narrow table whose only index is in claim order"
    ORDERED_BY_TENANT = "narrow table whose primary key is the claim order, tenant first"
    ORDERED_WITH_TYPE = "narrow table whose only index is in claim order and ends in the type"
    PARTIAL_INDEX = "no table: a partial index over the record"


class Lease(Enum):
    """Who remembers which worker runs what."""

    ROW = "a row in job_leases; the record is not written by a claim"
    ROW_AND_MARK = "a row in job_leases, and the record is marked SCHEDULED"
    RECORD = "columns of the record"


@frozen(kw_only=True)
class Layout:
    """One candidate; its name is also its schema's."""

    name: str
    ready: Ready = Ready.KEYED
    lease: Lease = Lease.ROW
    fused: bool = False
    fillfactor: int = 45
    json_type: str = "json"
    status_type: str = "text"
    dead_index: bool = False
    busy_options: str = ""

    @property
    def schema(self) -> str:
        """Return the schema that holds this candidate's tables."""
        return self.name.lower().replace(" ", "_").replace("+", "_").replace("%", "")

    def status(self, name: str) -> str:
        """Return the SQL literal of a status."""
        return f"'{name}'" if self.status_type == "text" else f"{STATUS_NUMBERS[name]}::{self.status_type}"

    @property
    def has_ready_table(self) -> bool:
        """Tell whether what can be claimed stands apart from the record."""
        return self.ready is not Ready.PARTIAL_INDEX

    @property
    def has_lease_table(self) -> bool:
        """Tell whether a lease is a row of its own."""
        return self.lease is not Lease.RECORD

    @property
    def tables(self) -> list[str]:
        """Name the tables that jobs pass through."""
        return ["jobs", *["job_ready"] * self.has_ready_table, *["job_leases"] * self.has_lease_table]


def ddl(layout: Layout) -> str:
    """Return the statements that make the candidate's schema from nothing."""
    lease_columns = "" if layout.has_lease_table else "lease_id uuid, owner uuid,"
    statements = [
        f"drop schema if exists {layout.schema} cascade; create schema {layout.schema}",
        f"set search_path = {layout.schema}",
        f"""
        create table jobs (
            job_id uuid primary key,
            tenant_id int not null,
            type text not null,
            queue text not null,
            payload {layout.json_type} not null,
            idempotency_key text not null,
            request_hash bytea not null,
            priority smallint not null,
            scheduled_at timestamptz not null,
            max_retries smallint not null,
            retry_policy text not null,
            retry_base_seconds float8 not null,
            retry_max_seconds float8 not null,
            timeout_seconds float8 not null,
            workflow_id uuid,
            workflow_key text,
            waits_for int not null default 0,
            status {layout.status_type} not null,
            worker_id text,
            attempt int not null default 0,
            retry_count int not null default 0,
            lease_token bigint not null default 0,
            {lease_columns}
            worker_deaths smallint not null default 0,
            created_at timestamptz not null,
            claimed_at timestamptz,
            started_at timestamptz,
            completed_at timestamptz,
            error_message text,
            errors jsonb,
            history jsonb,
            result {layout.json_type},
            traceparent text,
            unique (tenant_id, idempotency_key)
        ) with (fillfactor = {layout.fillfactor})""",
        "create table queues (tenant_id int, queue text, paused bool not null, primary key (tenant_id, queue))",
    ]
    if layout.has_ready_table:
        statements.append(
            f"""
            create table job_ready (
                tenant_id int not null,
                queue text not null,
                priority smallint not null,
                scheduled_at timestamptz not null,
                job_id uuid not null,
                type text not null
            ) {layout.busy_options}"""
        )
    order = "queue, priority, scheduled_at, job_id"
    match layout.ready:
        case Ready.KEYED:
            statements += [
                "alter table job_ready add primary key (job_id)",
                f"create index job_ready_order on job_ready ({order})",
            ]
        case Ready.ORDERED:
            statements.append(f"create index job_ready_order on job_ready ({order})")
        case Ready.ORDERED_BY_TENANT:
            statements.append(f"alter table job_ready add primary key (tenant_id, {order})")
        case Ready.ORDERED_WITH_TYPE:
            statements.append(f"create index job_ready_order on job_ready ({order}, type)")
        case Ready.PARTIAL_INDEX:
            claimable = f"{layout.status('PENDING')}, {layout.status('RETRYING')}"
            statements.append(f"create index jobs_ready on jobs ({order}) where status in ({claimable})")
    if layout.has_lease_table:
        statements.append(
            f"""
            create table job_leases (
                job_id uuid primary key,
                lease_id uuid not null,
                token bigint not null,
                owner uuid not null,
                started_at timestamptz,
                claimed_at timestamptz not null
            ) {layout.busy_options}"""
        )
    if layout.dead_index:
        statements.append(f"create index jobs_dead on jobs (job_id) where status = {layout.status('DEAD')}")
    return ";\n".join(statements)
