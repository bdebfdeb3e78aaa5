-- Lowers the count of what each dependant of the jobs :job_id still waits for; at zero it can be claimed.
--
-- Locks: jobs. Whoever changes jobs of a workflow holds the lock on the workflow's row, so nobody else counts
-- here at the same time. Then adds to job_ready.
-- Index: job_dependencies_pkey by upstream_id, jobs_pkey: the cost is that of the dependants alone.
with
fewer as materialized (
    select d.job_id, count(*) as amount
    from job_dependencies d
    where d.upstream_id = any(:job_id::uuid[])
    group by d.job_id
    order by d.job_id
),
released as (
    update jobs j
    set waits_for = j.waits_for - f.amount
    from fewer f
    where j.job_id = f.job_id
    returning j.job_id, j.tenant_id, j.queue, j.priority, j.type, j.scheduled_at, j.status, j.waits_for
),
ready as (
    insert into job_ready (job_id, tenant_id, queue, priority, type, scheduled_at, status)
    select r.job_id, r.tenant_id, r.queue, r.priority, r.type, r.scheduled_at, r.status
    from released r
    where r.waits_for = 0 and r.status in ('PENDING', 'RETRYING')
    returning queue
)
select distinct r.queue from ready r
