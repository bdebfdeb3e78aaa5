"""The statements of a candidate: submit, claim, complete, and the exchange that completes and claims."""

from __future__ import annotations

import re

from attrs import frozen
from benchmarks.storage.layouts import Layout, Lease, Ready

SUBMIT_PARAMETERS = (
    "job_id uuid[]",
    "type text[]",
    "queue text[]",
    "payload json[]",
    "idempotency_key text[]",
    "request_hash bytea[]",
    "priority int2[]",
    "scheduled_at timestamptz[]",
)
CLAIM_PARAMETERS = (
    "limit int8",
    "queues text[]",
    "types text[]",
    "owner uuid",
    "cursor_queue text[]",
    "cursor_priority int2[]",
    "cursor_at timestamptz[]",
    "cursor_id uuid[]",
)
COMPLETE_PARAMETERS = (
    "worker_id text",
    "job_id uuid[]",
    "lease_id uuid[]",
    "status text[]",
    "result json[]",
    "started_at timestamptz[]",
    "retry_at timestamptz[]",
    "error_message text[]",
    "error jsonb[]",
)

RECORD_COLUMNS = """
    j.job_id, j.tenant_id, j.type, j.queue, j.payload, j.priority, j.scheduled_at, j.attempt, j.retry_count,
    j.max_retries, j.retry_policy, j.retry_base_seconds, j.retry_max_seconds, j.timeout_seconds,
    j.workflow_id, j.workflow_key, j.worker_deaths, j.created_at, j.traceparent"""


@frozen(kw_only=True)
class Statements:
    """What a worker sends; `exchange` takes the parameters of `complete`, then those of `claim`."""

    submit: str
    claim: str
    complete: str
    exchange: str


def statements(layout: Layout) -> Statements:
    """Write the candidate's statements."""
    record = [*re.findall(r"j\.(\w+)", RECORD_COLUMNS), "lease_id", "token"]
    claimed = f"select null::uuid[] as accepted, {', '.join(record)} from claimed"
    accepted = "select array(select job_id from recorded) as accepted"
    return Statements(
        submit=_bind(_submit(layout), _numbered(layout, SUBMIT_PARAMETERS)),
        claim=_bind(f"with {_claim(layout)} {claimed}", _numbered(layout, CLAIM_PARAMETERS)),
        complete=_bind(f"with {_complete(layout)} {accepted}", _numbered(layout, COMPLETE_PARAMETERS)),
        exchange=_bind(
            f"with {_complete(layout)}, {_claim(layout)} "
            f"{claimed} union all {accepted}, {', '.join(['null'] * len(record))}",
            _numbered(layout, COMPLETE_PARAMETERS + CLAIM_PARAMETERS),
        ),
    )


def _submit(layout: Layout) -> str:
    ready = """
        , ready as (
            insert into job_ready (tenant_id, queue, priority, scheduled_at, job_id, type)
            select 1, queue, priority, scheduled_at, job_id, type from created
        )"""
    return f"""
        with created as (
            insert into jobs (
                job_id, tenant_id, type, queue, payload, idempotency_key, request_hash, priority, scheduled_at,
                max_retries, retry_policy, retry_base_seconds, retry_max_seconds, timeout_seconds, status, created_at
            )
            select
                s.job_id, 1, s.type, s.queue, s.payload, s.idempotency_key, s.request_hash, s.priority,
                s.scheduled_at, 3, 'exponential', 60, 3600, 300, {layout.status("PENDING")}, now()
            from unnest(
                :job_id, :type, :queue, :payload, :idempotency_key, :request_hash, :priority, :scheduled_at
            ) as s(job_id, type, queue, payload, idempotency_key, request_hash, priority, scheduled_at)
            on conflict (tenant_id, idempotency_key) do nothing
            returning job_id, queue, priority, scheduled_at, type
        ){ready if layout.has_ready_table else ""}
        select job_id from created"""


def _claim(layout: Layout) -> str:
    source = "job_ready" if layout.has_ready_table else "jobs"
    claimable = f"status in ({layout.status('PENDING')}, {layout.status('RETRYING')})"
    also = "" if layout.has_ready_table else f"and h.{claimable}"
    if layout.ready is Ready.ORDERED_BY_TENANT:
        also = "and h.tenant_id = q.tenant_id"
    probe = f"""
        from {source} h
        where h.queue = q.queue and h.priority = p.priority and h.scheduled_at <= now() {also}
            and (h.scheduled_at, h.job_id) > (q.from_at, q.from_id)"""
    picked = f"""
        picked as materialized (
            select r.tid
            from generate_series(10, 0, -1) as p(priority)
            cross join lateral (
                select q.tenant_id, q.queue, q.from_at, q.from_id
                from (
                    select
                        o.tenant_id, o.queue,
                        coalesce(c.at, '-infinity') as from_at,
                        coalesce(c.id, '00000000-0000-0000-0000-000000000000') as from_id
                    from queues o
                    left join unnest(:cursor_queue, :cursor_priority, :cursor_at, :cursor_id)
                        as c(queue, priority, at, id) on c.queue = o.queue and c.priority = p.priority
                    where not o.paused and o.queue = any(:queues)
                ) q
                cross join lateral (
                    select h.scheduled_at {probe} order by h.scheduled_at, h.job_id limit 1
                ) head
                order by head.scheduled_at
            ) q
            cross join lateral (
                select h.ctid as tid {probe} and h.type = any(:types)
                order by h.scheduled_at, h.job_id
                for update skip locked
                limit :limit
            ) r
            limit :limit
        )"""
    taken = """
        taken as (
            delete from job_ready r where r.ctid = any(array(select p.tid from picked p)) returning r.job_id
        )"""
    lease_row = """
        leased as (
            insert into job_leases (job_id, lease_id, token, owner, claimed_at)
            select c.job_id, c.lease_id, c.token, :owner, now() from claimed c
        )"""
    by_id = "j.job_id = any(array(select t.job_id from taken t))"
    taken_key = by_id if layout.has_ready_table else "j.ctid = any(array(select p.tid from picked p))"
    mark = f"""
        claimed as materialized (
            update jobs j set
                status = {layout.status("SCHEDULED")}, lease_token = j.lease_token + 1, claimed_at = now()
                {", lease_id = gen_random_uuid(), owner = :owner" if layout.lease is Lease.RECORD else ""}
            where {taken_key}
            returning {RECORD_COLUMNS}, j.lease_token as token,
                {"j.lease_id" if layout.lease is Lease.RECORD else "gen_random_uuid() as lease_id"}
        )"""
    read = f"""
        claimed as materialized (
            select {RECORD_COLUMNS}, j.lease_token + 1 as token, gen_random_uuid() as lease_id
            from jobs j where {by_id}
        )"""
    return ",".join(
        [
            picked,
            *[taken] * layout.has_ready_table,
            read if layout.lease is Lease.ROW else mark,
            *[lease_row] * layout.has_lease_table,
        ]
    )


def _complete(layout: Layout) -> str:
    outcome = """
        outcome as (
            select * from unnest(
                :job_id, :lease_id, :status, :result, :started_at, :retry_at, :error_message, :error
            ) as o(job_id, lease_id, status, result, started_at, retry_at, error_message, error)
        )"""
    released = """
        released as (
            delete from job_leases l using outcome o
            where l.job_id = o.job_id and l.lease_id = o.lease_id
            returning l.token, l.claimed_at, o.*
        )"""
    source, fence, lease = {
        Lease.ROW: ("released", "", ", lease_token = e.token, claimed_at = e.claimed_at"),
        Lease.ROW_AND_MARK: ("released", "", ""),
        Lease.RECORD: ("outcome", "and j.lease_id = e.lease_id", ", lease_id = null, owner = null"),
    }[layout.lease]
    status = "e.status" if layout.status_type == "text" else f"e.status::{layout.status_type}"
    recorded = f"""
        recorded as (
            update jobs j set
                status = {status}, result = e.result, attempt = j.attempt + 1, worker_id = :worker_id,
                started_at = e.started_at,
                completed_at = case when e.retry_at is null then now() end,
                scheduled_at = coalesce(e.retry_at, j.scheduled_at),
                retry_count = j.retry_count + (e.retry_at is not null)::int,
                error_message = e.error_message,
                errors = case when e.error is null then j.errors else coalesce(j.errors, '[]') || e.error end
                {lease}
            from {source} e
            where j.job_id = e.job_id {fence}
            returning j.job_id, j.tenant_id, j.queue, j.priority, j.type, e.retry_at
        )"""
    retried = """
        retried as (
            insert into job_ready (tenant_id, queue, priority, scheduled_at, job_id, type)
            select tenant_id, queue, priority, retry_at, job_id, type from recorded where retry_at is not null
        )"""
    return ",".join(
        [
            outcome,
            *[released] * layout.has_lease_table,
            recorded,
            *[retried] * layout.has_ready_table,
        ]
    )


def _numbered(layout: Layout, parameters: tuple[str, ...]) -> dict[str, str]:
    numbered = {}
    for number, parameter in enumerate(parameters, start=1):
        name, type_ = parameter.split()
        if type_ == "json[]":
            type_ = f"{layout.json_type}[]"
        numbered[name] = f"${number}::{type_}"
    return numbered


def _bind(sql: str, parameters: dict[str, str]) -> str:
    return re.sub(r"(?<!:):([a-z_]+)", lambda found: parameters[found[1]], sql)
