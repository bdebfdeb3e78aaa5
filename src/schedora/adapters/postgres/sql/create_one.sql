-- Stores one new job, for the statements that begin with it. No row where nothing is created: the key is taken, or the
-- queue is new.
--
-- Locks: the idempotency key, waited for as long as the transaction may. Then adds to jobs.
-- Index: jobs_tenant_id_idempotency_key_key, queues_pkey.
with
created as (
    insert into jobs (
        job_id, tenant_id, type, queue, payload, idempotency_key, fingerprint, priority, requested_at,
        retry_kind, max_retries, retry_base_us, retry_max_us, timeout_us, key, traceparent, scheduled_at, created_at
    )
    select
        :job_id::uuid, :tenant_id::int, :type::text, :queue::text, :payload::json, :idempotency_key::text,
        :fingerprint::bytea, :priority::int, :requested_at::timestamptz, :retry_kind::text, :max_retries::int,
        :retry_base_us::bigint, :retry_max_us::bigint, :timeout_us::bigint, :key::text, :traceparent::text,
        coalesce(:requested_at::timestamptz, statement_timestamp()), statement_timestamp()
    where exists (select from queues q where q.tenant_id = :tenant_id::int and q.name = :queue::text)
    on conflict (tenant_id, idempotency_key) do nothing
    returning scheduled_at
)
select scheduled_at from created
