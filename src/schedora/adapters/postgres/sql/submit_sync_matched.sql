-- As submit_one.sql, for a job that is leased as it is stored, to a worker that offered to start it at once.
-- It is only ready, for any worker, where that one may not claim it (any more) or can't be told of it, the queue is paused,
-- or a job of the same queue and type waits that goes before it.
--
-- The answer tells how long it looked for such jobs: entries of rows deleted before stay in the index while any
-- transaction might see them, and are walked over.
--
-- The lease has not started, and its holder is told of it with the commit, on the channel :channel. What the holder did
-- not hear it finds among its leases.
--
-- Locks: as submit_one.sql; then the worker, so that its status does not change before this commits, and without
-- waiting: one that is just written has no job matched. Who listens holds the advisory lock :ear, and loses it with its
-- connection: where it can be had, nobody does. Then adds to job_leases.
-- Index: jobs_tenant_id_idempotency_key_key, queues_pkey, workers_pkey, job_ready_lane_idx.
with
{create_one},
looking as materialized (
    select clock_timestamp() as began from created
),
holder as materialized (
    select w.incarnation, w.worker_id
    from workers w
    where w.incarnation = :owner::uuid and w.status = 'ACTIVE' and exists (select from looking)
        and not pg_try_advisory_xact_lock_shared(:listener_lock::bigint) and pg_notification_queue_usage() < 0.5
        and :type::text = any(w.types) and (cardinality(w.queues) = 0 or :queue::text = any(w.queues))
        and not exists (
            select from queues q
            where q.tenant_id = :tenant_id::int and q.name = :queue::text and q.paused_at is not null
        )
        and not exists (
            select
            from generate_series(:priority::int, 10) as p (priority)
            cross join lateral (
                select r.scheduled_at
                from job_ready r
                where r.tenant_id = :tenant_id::int and r.queue = :queue::text and r.priority = p.priority
                    and r.type = :type::text
                order by r.scheduled_at, r.job_id
                limit 1
            ) head
            where head.scheduled_at <= statement_timestamp()
        )
    for share of w skip locked
),
leased as (
    insert into job_leases (job_id, tenant_id, lease_id, token, owner, worker_id, claimed_at)
    select
        :job_id::uuid, :tenant_id::int, :lease_id::uuid, 1, h.incarnation, h.worker_id, statement_timestamp()
    from holder h
),
ready as (
    insert into job_ready (job_id, tenant_id, queue, priority, type, scheduled_at)
    select :job_id::uuid, :tenant_id::int, :queue::text, :priority::int, :type::text, c.scheduled_at
    from created c
    where not exists (select from holder)
)
select
    statement_timestamp() as created_at,
    h.incarnation is not null as matched,
    extract(epoch from clock_timestamp() - l.began)::float8 as looked_seconds,
    case
        when h.incarnation is not null then pg_notify(
            :channel::text,
            :told::text || ',"worker_id":' || to_json(h.worker_id)::text
                || ',"at_us":' || (extract(epoch from statement_timestamp()) * 1000000)::bigint || '}'
        )::text
    end as told
from created c
cross join looking l
left join holder h on true
