-- Stores new jobs with their dependencies, in the order given; one whose idempotency key is taken is left out.
--
-- Locks: idempotency keys in the order given (sorted by key, so that batches with common keys don't wait for
-- each other in a circle): a key that an open transaction has taken is waited for. Then adds to everything else.
-- Index: jobs_tenant_id_idempotency_key_key.
--
-- created_at is the time of this statement: the transaction may be a caller's, and old.
with
asked as materialized (
    select *
    from unnest(
        :job_id::uuid[], :tenant_id::int[], :type::text[], :queue::text[], :payload::text[],
        :idempotency_key::text[], :fingerprint::bytea[], :priority::int[], :requested_at::timestamptz[],
        :retry_kind::text[], :max_retries::int[], :retry_base_us::bigint[], :retry_max_us::bigint[],
        :timeout_us::bigint[], :workflow_id::uuid[], :key::text[], :depends_on::text[], :waits_for::int[],
        :traceparent::text[]
    ) as a (
        job_id, tenant_id, type, queue, payload, idempotency_key, fingerprint, priority, requested_at,
        retry_kind, max_retries, retry_base_us, retry_max_us, timeout_us, workflow_id, key, depends_on, waits_for,
        traceparent
    )
),
created as (
    insert into jobs (
        job_id, tenant_id, type, queue, payload, idempotency_key, fingerprint, priority, requested_at,
        retry_kind, max_retries, retry_base_us, retry_max_us, timeout_us, workflow_id, key, depends_on, waits_for,
        traceparent, scheduled_at, created_at
    )
    select
        a.job_id, a.tenant_id, a.type, a.queue, a.payload::json, a.idempotency_key, a.fingerprint, a.priority,
        a.requested_at, a.retry_kind, a.max_retries, a.retry_base_us, a.retry_max_us, a.timeout_us,
        a.workflow_id, a.key, a.depends_on::uuid[], a.waits_for, a.traceparent,
        coalesce(a.requested_at, statement_timestamp()), statement_timestamp()
    from asked a
    on conflict (tenant_id, idempotency_key) do nothing
    returning job_id, tenant_id, queue, priority, type, scheduled_at, created_at, waits_for, depends_on
),
ready as (
    insert into job_ready (job_id, tenant_id, queue, priority, type, scheduled_at)
    select c.job_id, c.tenant_id, c.queue, c.priority, c.type, c.scheduled_at from created c where c.waits_for = 0
),
linked as (
    insert into job_dependencies (upstream_id, job_id, tenant_id)
    select unnest(c.depends_on), c.job_id, c.tenant_id from created c where c.depends_on is not null
),
opened as (
    insert into queues (tenant_id, name)
    select distinct c.tenant_id, c.queue from created c
    where not exists (select from queues q where q.tenant_id = c.tenant_id and q.name = c.queue)
    order by 1, 2
    on conflict (tenant_id, name) do nothing
)
select c.job_id, c.created_at from created c
