-- Writes new states of locked jobs: the record, and the place that follows from it. The old places are gone by
-- then (remove_ready.sql).
--
-- Locks: jobs, which the transaction holds already; then adds to job_ready, job_leases and job_counts.
-- Index: jobs_pkey.
with
saved as materialized (
    select *
    from unnest(
        :job_id::uuid[], :status::text[], :claimable::bool[], :scheduled_at::timestamptz[], :waits_for::int[],
        :suspect::bool[], :worker_id::text[], :attempt::int[], :retry_count::int[], :lease_token::bigint[],
        :worker_deaths::int[], :claimed_at::timestamptz[], :started_at::timestamptz[], :completed_at::timestamptz[],
        :error_message::text[], :errors::text[], :history::text[], :result::text[]
    ) as s (
        job_id, status, claimable, scheduled_at, waits_for, suspect, worker_id, attempt, retry_count, lease_token,
        worker_deaths, claimed_at, started_at, completed_at, error_message, errors, history, result
    )
),
recorded as (
    update jobs j
    set status = s.status,
        scheduled_at = s.scheduled_at,
        waits_for = s.waits_for,
        suspect = s.suspect,
        worker_id = s.worker_id,
        attempt = s.attempt,
        retry_count = s.retry_count,
        lease_token = s.lease_token,
        worker_deaths = s.worker_deaths,
        claimed_at = s.claimed_at,
        started_at = s.started_at,
        completed_at = s.completed_at,
        dead_at = case when s.status = 'DEAD' then s.completed_at end,
        error_message = s.error_message,
        errors = s.errors::jsonb,
        history = s.history::jsonb,
        result = s.result::json
    from saved s
    join jobs old on old.job_id = s.job_id
    where j.job_id = s.job_id
    returning
        j.job_id, j.tenant_id, j.queue, j.priority, j.type, j.workflow_id, j.scheduled_at, j.status, s.claimable,
        old.status as status_before
),
ready as (
    insert into job_ready (job_id, tenant_id, queue, priority, type, scheduled_at, status)
    select r.job_id, r.tenant_id, r.queue, r.priority, r.type, r.scheduled_at, r.status
    from recorded r
    where r.claimable
),
leased as (
    insert into job_leases (
        job_id, tenant_id, lease_id, token, owner, worker_id, workflow_id, claimed_at, started_at, progress
    )
    select
        r.job_id, r.tenant_id, l.lease_id, l.token, l.owner, l.worker_id, r.workflow_id, l.claimed_at,
        l.started_at, l.progress::json
    from unnest(
        :held_job_id::uuid[], :lease_id::uuid[], :token::bigint[], :owner::uuid[], :holder::text[],
        :lease_claimed_at::timestamptz[], :lease_started_at::timestamptz[], :progress::text[]
    ) as l (job_id, lease_id, token, owner, worker_id, claimed_at, started_at, progress)
    join recorded r on r.job_id = l.job_id
),
counted as (
    insert into job_counts (tenant_id, queue, status, amount)
    select c.tenant_id, c.queue, c.status, sum(c.amount)
    from (
        select r.tenant_id, r.queue, r.status, 1 as amount from recorded r where r.status <> r.status_before
        union all
        select r.tenant_id, r.queue, r.status_before, -1 from recorded r where r.status <> r.status_before
    ) c
    where c.status in ('SUCCESS', 'DEAD', 'CANCELED')
    group by c.tenant_id, c.queue, c.status
    having sum(c.amount) <> 0
)
select r.job_id from recorded r
