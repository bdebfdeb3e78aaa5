-- Whole jobs: the record, beside it the lease where there is one. Documents come as texts.
select
    jobs.job_id, jobs.tenant_id, jobs.type, jobs.queue, jobs.payload::text as payload, jobs.idempotency_key,
    jobs.fingerprint, jobs.priority, jobs.requested_at, jobs.scheduled_at, jobs.retry_kind, jobs.max_retries,
    jobs.retry_base_us, jobs.retry_max_us, jobs.timeout_us, jobs.workflow_id, jobs.key, jobs.depends_on,
    jobs.waits_for, jobs.status, jobs.suspect, jobs.worker_id, jobs.attempt, jobs.retry_count, jobs.lease_token,
    jobs.worker_deaths, jobs.created_at, jobs.claimed_at, jobs.started_at, jobs.completed_at, jobs.dead_at,
    jobs.error_message, jobs.errors::text as errors, jobs.history::text as history, jobs.result::text as result,
    jobs.traceparent,
    job_leases.lease_id as held_lease_id, job_leases.token as held_token, job_leases.owner as held_owner,
    job_leases.worker_id as held_worker_id, job_leases.claimed_at as held_claimed_at,
    job_leases.started_at as held_started_at, job_leases.progress::text as held_progress
from jobs
left join job_leases on job_leases.job_id = jobs.job_id
