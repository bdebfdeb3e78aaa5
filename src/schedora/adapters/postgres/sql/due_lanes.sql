-- For how long the first job that is due has been ready, by queue and type: it may have come for a time that had passed, have
-- waited for others, or have been held until then.
-- Locks nothing.
--
-- Index: job_ready_lane_idx, jobs_pkey. Leaps from the head of one lane to that of the next, so what it costs depends on how many lanes
-- there are, and not on how many jobs wait in them.
with recursive
head as (
    (
        select r.tenant_id, r.queue, r.priority, r.type, r.scheduled_at, r.job_id
        from job_ready r
        where r.tenant_id = :tenant_id::int
        order by r.tenant_id, r.queue, r.priority, r.type, r.scheduled_at, r.job_id
        limit 1
    )
    union all
    select next.*
    from head h
    cross join lateral (
        select r.tenant_id, r.queue, r.priority, r.type, r.scheduled_at, r.job_id
        from job_ready r
        where r.tenant_id = h.tenant_id and (r.queue, r.priority, r.type) > (h.queue, h.priority, h.type)
        order by r.tenant_id, r.queue, r.priority, r.type, r.scheduled_at, r.job_id
        limit 1
    ) next
)
select
    h.queue, h.type,
    max(
        now() - greatest(
            h.scheduled_at,
            (
                select greatest(
                    j.created_at,
                    (j.history -> -1 ->> 'at')::timestamptz,
                    (select max(u.completed_at) from jobs u where u.job_id = any(j.depends_on))
                )
                from jobs j
                where j.job_id = h.job_id
            )
        )
    ) as oldest
from head h
where h.scheduled_at <= now()
group by h.queue, h.type
order by h.queue, h.type
