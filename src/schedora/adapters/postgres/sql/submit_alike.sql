-- As submit.sql, for new jobs that differ in id, payload, idempotency key and trace alone, are in no workflow, wait
-- for nothing, and whose queue is there; if it is not, nothing is created. Fewer arrays to take apart and fewer
-- tables to open: of a statement with few jobs that is a seventh.
--
-- Locks: idempotency keys in the order given, as submit.sql. Then adds to everything else.
-- Index: jobs_tenant_id_idempotency_key_key, queues_pkey.
with
created as (
    insert into jobs (
        job_id, tenant_id, type, queue, payload, idempotency_key, fingerprint, priority, requested_at,
        retry_kind, max_retries, retry_base_us, retry_max_us, timeout_us, key, traceparent, scheduled_at, created_at
    )
    select
        a.job_id, :tenant_id::int, :type::text, :queue::text, a.payload::json, a.idempotency_key, a.fingerprint,
        :priority::int, :requested_at::timestamptz, :retry_kind::text, :max_retries::int, :retry_base_us::bigint,
        :retry_max_us::bigint, :timeout_us::bigint, :key::text, a.traceparent,
        coalesce(:requested_at::timestamptz, statement_timestamp()), statement_timestamp()
    from unnest(
        :job_id::uuid[], :payload::text[], :idempotency_key::text[], :fingerprint::bytea[], :traceparent::text[]
    ) as a (job_id, payload, idempotency_key, fingerprint, traceparent)
    where exists (select from queues q where q.tenant_id = :tenant_id::int and q.name = :queue::text)
    and (:lock_timeout::text is null or (select set_config('lock_timeout', :lock_timeout::text, true)) is not null)
    on conflict (tenant_id, idempotency_key) do nothing
    returning job_id, tenant_id, queue, priority, type, scheduled_at
),
ready as (
    insert into job_ready (job_id, tenant_id, queue, priority, type, scheduled_at)
    select c.job_id, c.tenant_id, c.queue, c.priority, c.type, c.scheduled_at from created c
)
select
    statement_timestamp() as created_at,
    case when count(*) < cardinality(:job_id::uuid[]) then coalesce(array_agg(c.job_id), '{}') end as created,
    case
        when :hint::text is not null and count(*) > 0 and pg_notification_queue_usage() < 0.5 then pg_notify('schedora', :hint::text)::text
    end as hinted
from created c
