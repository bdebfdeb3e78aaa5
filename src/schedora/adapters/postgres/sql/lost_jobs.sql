-- Jobs under leases whose owner is not live (any more), as their holder saw them.
--
-- Locks nothing: whoever ends these claims does so through the fence, like their holder would.
-- Index: job_leases_pkey gives the order; the table is as small as the number of jobs that run.
select
    j.job_id, l.lease_id, l.token, l.owner, l.worker_id, j.tenant_id,
    j.type, j.queue, j.priority, j.payload::text as payload, j.status, j.attempt, j.retry_count,
    j.worker_deaths, j.retry_kind, j.max_retries, j.retry_base_us, j.retry_max_us, j.timeout_us,
    j.workflow_id, j.key, j.depends_on, j.traceparent, j.created_at, j.scheduled_at, j.suspect,
    l.claimed_at, l.started_at
from job_leases l
join jobs j on j.job_id = l.job_id
where not exists (
    select from workers w where w.incarnation = l.owner and w.status in ('ACTIVE', 'DRAINING')
)
order by l.job_id
limit :limit::int
