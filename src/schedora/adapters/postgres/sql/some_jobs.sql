-- Jobs of a workflow behind :after, in the order of their ids: at most :limit, and none more once their traces are of
-- :bytes_max. Whole ones, but for payload and result, which no trace tells. Each row says whether others follow.
--
-- It goes from job to job, so that nothing is read of those that follow. How large spans are, is known without reading them.
-- Index: jobs_workflow_idx, trails_pkey, jobs_pkey, job_leases_pkey.
with recursive
page (job_id, place, bytes) as (
    select :after::uuid, 0, 0::bigint
    union all
    select n.job_id, p.place + 1, p.bytes + n.bytes
    from page p
    cross join lateral (
        select
            j.job_id,
            coalesce(octet_length(j.errors::text), 0) + coalesce(jsonb_array_length(j.history), 0) * :move_bytes::int
            + (
                select coalesce(sum(octet_length(t.spans)), 0)::bigint from trails t where t.job_id = j.job_id
            ) as bytes
        from jobs j
        where j.workflow_id = :workflow_id::uuid and j.job_id > p.job_id
        order by j.job_id
        limit 1
    ) n
    where p.place < :limit::int and p.bytes < :bytes_max::bigint
),
last as (
    select p.job_id from page p order by p.place desc limit 1
)
select
    j.job_id, j.tenant_id, j.type, j.queue, '{}' as payload, j.idempotency_key, j.priority, j.requested_at,
    j.scheduled_at, j.retry_kind, j.max_retries, j.retry_base_us, j.retry_max_us, j.timeout_us, j.workflow_id, j.key,
    j.depends_on, j.waits_for, j.status, j.suspect, j.worker_id, j.attempt, j.retry_count, j.lease_token,
    j.worker_deaths, j.created_at, j.claimed_at, j.started_at, j.completed_at, j.error_message,
    j.errors::text as errors, j.history::text as history, null as result, j.traceparent,
    l.lease_id as held_lease_id, l.token as held_token, l.owner as held_owner, l.worker_id as held_worker_id,
    l.claimed_at as held_claimed_at, l.started_at as held_started_at, l.progress::text as held_progress,
    exists (
        select from jobs n where n.workflow_id = :workflow_id::uuid and n.job_id > (select l.job_id from last l)
    ) as more_follow
from page p
join jobs j on j.job_id = p.job_id
left join job_leases l on l.job_id = j.job_id
where p.place > 0
order by p.place
