-- Ends claims of workflows' jobs, and makes ready what waited for them alone: what complete.sql, release.sql and
-- count.sql do, for ends of which none cancels anything. Nothing happens unless all the workflows :workflow_id are free, or
-- locked by this transaction, and are as this statement sees them. For whoever changes what jobs of a workflow wait for
-- holds its row, and changes it: what he has done, this statement would not know.
--
-- Locks: workflows, where nobody else does; then as complete.sql and release.sql.
-- Index: workflows_pkey, job_leases_pkey, jobs_pkey, job_dependencies_pkey by upstream_id.
with
{ends},
held as materialized (
    select w.tid
    from unnest(:workflow_id::uuid[]) as c (workflow_id)
    cross join lateral (
        select w.ctid as tid from workflows w where w.workflow_id = c.workflow_id for update skip locked
    ) w
    limit cardinality(:workflow_id::uuid[])
),
seen as materialized (
    select
        (select count(*) from workflows w where w.ctid = any(array(select h.tid from held h)))
        = (select count(*) from workflows w where w.workflow_id = any(:workflow_id::uuid[])) as all_of_them
),
done as (select e.* from ends e where (select s.all_of_them from seen s)),
{ended},
fewer as materialized (
    select d.job_id, count(*) as amount
    from job_dependencies d
    where d.upstream_id = any(array(select e.job_id from ended e where e.status = 'SUCCESS'))
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
),
gained as materialized (
    select e.workflow_id, count(*) as succeeded from ended e where e.status = 'SUCCESS' group by e.workflow_id
),
advanced as (
    update workflows w
    set succeeded_jobs = w.succeeded_jobs + g.succeeded,
        completed_at = case
            when w.succeeded_jobs + g.succeeded + w.failed_jobs + w.canceled_jobs = w.total_jobs
                then coalesce(w.completed_at, now())
        end
    from gained g
    where w.workflow_id = g.workflow_id
)
select
    (select s.all_of_them from seen s) as taken, array(select e.lease_id from ended e) as accepted,
    array(select distinct r.queue from ready r) as queues
