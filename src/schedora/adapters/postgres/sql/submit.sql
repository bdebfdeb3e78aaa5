-- Stores new jobs with their dependencies, in the order given; one whose idempotency key is taken is left out.
-- Answers the time, and which jobs were created unless all were. Where any was, :hint is sent with the commit, if given.
--
-- A column comes as an array with one element a job or, where all jobs have the same there, as that value, in
-- the parameter whose name begins with all_; then the array is empty.
--
-- Locks: idempotency keys in the order given (sorted by key, so that batches with common keys don't wait for
-- each other in a circle): a key that an open transaction has taken is waited for, no longer than lock_timeout
-- says if it says anything. Then adds to everything else.
-- Index: jobs_tenant_id_idempotency_key_key.
--
-- created_at is the time of this statement: the transaction may be a caller's, and old.
with
created as (
    insert into jobs (
        job_id, tenant_id, type, queue, payload, idempotency_key, fingerprint, priority, requested_at,
        retry_kind, max_retries, retry_base_us, retry_max_us, timeout_us, workflow_id, key, depends_on, waits_for,
        traceparent, scheduled_at, created_at
    )
    select
        a.job_id, coalesce(a.tenant_id, :all_tenant_id::int), coalesce(a.type, :all_type::text),
        coalesce(a.queue, :all_queue::text), a.payload::json, a.idempotency_key, a.fingerprint,
        coalesce(a.priority, :all_priority::int), coalesce(a.requested_at, :all_requested_at::timestamptz),
        coalesce(a.retry_kind, :all_retry_kind::text), coalesce(a.max_retries, :all_max_retries::int),
        coalesce(a.retry_base_us, :all_retry_base_us::bigint), coalesce(a.retry_max_us, :all_retry_max_us::bigint),
        coalesce(a.timeout_us, :all_timeout_us::bigint), coalesce(a.workflow_id, :all_workflow_id::uuid),
        coalesce(a.key, :all_key::text), coalesce(a.depends_on, :all_depends_on::text)::uuid[],
        coalesce(a.waits_for, :all_waits_for::int), coalesce(a.traceparent, :all_traceparent::text),
        coalesce(a.requested_at, :all_requested_at::timestamptz, statement_timestamp()), statement_timestamp()
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
    where :lock_timeout::text is null or (select set_config('lock_timeout', :lock_timeout::text, true)) is not null
    on conflict (tenant_id, idempotency_key) do nothing
    returning job_id, tenant_id, queue, priority, type, scheduled_at, waits_for, depends_on
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
    select n.tenant_id, n.name from unnest(:queue_tenant_id::int[], :queue_name::text[]) as n (tenant_id, name)
    where not exists (select from queues q where q.tenant_id = n.tenant_id and q.name = n.name)
    and exists (select from created c where c.tenant_id = n.tenant_id and c.queue = n.name)
    on conflict (tenant_id, name) do nothing
)
select
    statement_timestamp() as created_at,
    case when count(*) < cardinality(:job_id::uuid[]) then coalesce(array_agg(c.job_id), '{}') end as created,
    case
        when :hint::text is not null and count(*) > 0 and pg_notification_queue_usage() < 0.5 then pg_notify('schedora', :hint::text)::text
    end as hinted
from created c
