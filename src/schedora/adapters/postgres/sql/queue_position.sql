-- How many jobs that are due go before one that is ready, among those that a worker would take that takes this one, up to
-- :ahead_max and one more; whether it looked into every lane that there is; and how many jobs a second those workers take,
-- by what their processes told of themselves in the last :fresh_for. Locks nothing.
--
-- Index: job_ready_lane_idx. Leaps from lane to lane as claim.sql does, over those of lower priority at once, and reads
-- what is due and goes first in those that count.
with recursive
taker as materialized (
    select w.queues, w.types, w.hostname, w.pid
    from workers w
    where w.status = 'ACTIVE' and :type::text = any(w.types)
        and (cardinality(w.queues) = 0 or :queue::text = any(w.queues))
),
kind as materialized (
    select distinct t.queues, t.types from taker t
),
pace as (
    -- Brought together by sorting: there may be many of both.
    select sum(process.per_second) as per_second
    from (
        select bool_or(told.takes) as takes, max(told.per_second) as per_second
        from (
            select t.hostname, t.pid, true as takes, null::float8 as per_second
            from taker t
            union all
            select p.hostname, p.pid, false, (gauge.told ->> 2)::float8
            from processes p
            cross join lateral json_array_elements(p.gauges) as gauge (told)
            where p.seen_at >= now() - :fresh_for::interval and gauge.told ->> 0 = :rate_gauge::text
        ) told
        group by told.hostname, told.pid
    ) process
    where process.takes
),
lane as (
    (
        select r.tenant_id, r.queue, r.priority, r.type, 1 as place
        from job_ready r
        where r.tenant_id = :tenant_id::int
        order by r.tenant_id, r.queue, r.priority, r.type, r.scheduled_at, r.job_id
        limit 1
    )
    union all
    select next.*, l.place + 1
    from lane l
    cross join lateral (
        select r.tenant_id, r.queue, r.priority, r.type
        from job_ready r
        where r.tenant_id = l.tenant_id
            and (r.queue, r.priority, r.type) > (
                l.queue,
                greatest(l.priority, :priority::int),
                case when l.priority < :priority::int then '' else l.type end
            )
        order by r.tenant_id, r.queue, r.priority, r.type, r.scheduled_at, r.job_id
        limit 1
    ) next
    where l.place <= :lanes_max::int
),
counted as materialized (
    select count(*) as amount
    from (
        select
        from lane
        cross join lateral (
            select
            from job_ready r
            where r.tenant_id = lane.tenant_id and r.queue = lane.queue and r.priority = lane.priority
                and r.type = lane.type
                and (r.scheduled_at, r.job_id) < (
                    case when lane.priority = :priority::int then :scheduled_at::timestamptz else 'infinity' end,
                    case when lane.priority = :priority::int then :job_id::uuid end
                )
                and r.scheduled_at <= now()
            order by r.scheduled_at, r.job_id
        ) ahead
        where lane.priority >= :priority::int
            and exists (
                select
                from kind k
                where lane.type = any(k.types) and (cardinality(k.queues) = 0 or lane.queue = any(k.queues))
            )
            and exists (
                select
                from queues q
                where q.tenant_id = lane.tenant_id and q.name = lane.queue and q.paused_at is null
            )
        limit :ahead_max::int + 1
    ) one
)
select
    c.amount, (select count(*) from lane) <= :lanes_max::int as all_lanes, (select p.per_second from pace p) as per_second
from counted c
