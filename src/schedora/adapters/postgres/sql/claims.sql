-- The jobs that one incarnation holds, as their holder sees them. Locks nothing.
--
-- Index: job_leases_owner_idx, jobs_pkey.
select
    j.job_id, l.lease_id, l.token, l.owner, l.worker_id, j.tenant_id,
    j.type, j.queue, j.priority, j.payload::text as payload, j.status, j.attempt, j.retry_count,
    j.worker_deaths, j.retry_kind, j.max_retries, j.retry_base_us, j.retry_max_us, j.timeout_us,
    j.workflow_id, j.key, j.depends_on, j.traceparent, j.created_at, j.scheduled_at, j.suspect,
    l.claimed_at, l.started_at
from job_leases l
join jobs j on j.job_id = l.job_id
where l.owner = :owner::uuid
order by l.job_id
