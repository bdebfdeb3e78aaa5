-- How many jobs of which type are in which state, by queue. Locks nothing.
--
-- Reads the small tables and, for what has ended, kept counts: its cost does not grow with the jobs that ended.
-- Index: job_ready_lane_idx alone serves the first part.
select q.name as queue, q.paused_at, null as type, null as status, 0 as amount, null as oldest_for
from queues q
where q.tenant_id = :tenant_id::int
union all
select r.queue, null, r.type, r.status, count(*), now() - min(r.scheduled_at) filter (where r.scheduled_at <= now())
from job_ready r
where r.tenant_id = :tenant_id::int
group by r.queue, r.type, r.status
union all
select j.queue, null, null, j.status, count(*), null
from jobs j
where j.waits_for > 0 and j.status in ('PENDING', 'RETRYING') and j.tenant_id = :tenant_id::int
group by j.queue, j.status
union all
select j.queue, null, null, case when l.started_at is null then 'SCHEDULED' else 'RUNNING' end, count(*), null
from job_leases l
join jobs j on j.job_id = l.job_id
where l.tenant_id = :tenant_id::int
group by j.queue, 4
union all
select c.queue, null, null, c.status, sum(c.amount)::bigint, null
from job_counts c
where c.tenant_id = :tenant_id::int
group by c.queue, c.status
