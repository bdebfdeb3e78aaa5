-- Claims what claim.sql would, for as long as few jobs are due, in few lanes: then most of what a claim costs is to
-- set its plan up, and this one is a third as large. Where more than 16 lanes hold jobs, or more than 32 jobs are due,
-- it claims nothing and says so: `many`.
--
-- Locks: as claim.sql.
-- Index: job_ready_lane_idx. Leaps from lane to lane as claim.sql does, and reads what is due in those that this
-- worker serves; what is delayed is not walked over.
--
-- The first row of the answer carries what that of claim.sql does, and `many`.
with recursive
look as materialized (
    -- As in claim.sql: now() may be before what this sees.
    select clock_timestamp() as began
),
lane as (
    -- The first job of each lane that holds any, due or not.
    (
        select r.tenant_id, r.queue, r.priority, r.type, r.scheduled_at, 1 as place
        from job_ready r
        where exists (select from workers w where w.incarnation = :owner::uuid and w.status = 'ACTIVE')
        order by r.tenant_id, r.queue, r.priority, r.type, r.scheduled_at, r.job_id
        limit 1
    )
    union all
    select next.*, l.place + 1
    from lane l
    cross join lateral (
        select r.tenant_id, r.queue, r.priority, r.type, r.scheduled_at
        from job_ready r
        where (r.tenant_id, r.queue, r.priority, r.type) > (l.tenant_id, l.queue, l.priority, l.type)
        order by r.tenant_id, r.queue, r.priority, r.type, r.scheduled_at, r.job_id
        limit 1
    ) next
    where l.place <= 16
),
near as materialized (
    -- What is due, and the next job of each lane that is not.
    select near.tid, lane.priority, near.scheduled_at, near.job_id
    from lane
    cross join lateral (
        select r.ctid as tid, r.scheduled_at, r.job_id
        from job_ready r
        where r.tenant_id = lane.tenant_id and r.queue = lane.queue and r.priority = lane.priority and r.type = lane.type
        order by r.scheduled_at, r.job_id
        limit case when lane.scheduled_at <= now() then 33 else 1 end
    ) near
    where lane.type = any(:types::text[])
        and (
            select q.paused_at is null and (cardinality(:queues::text[]) = 0 or q.name = any(:queues::text[]))
            from queues q
            where q.tenant_id = lane.tenant_id and q.name = lane.queue
        )
),
sought as materialized (
    select
        (select count(*) from lane) > 16 or count(*) filter (where n.scheduled_at <= now()) > 32 as many,
        extract(epoch from clock_timestamp() - statement_timestamp())::float8 as seconds
    from near n
),
picked as materialized (
    select p.*, row_number() over () as place
    from (
        select n.tid, n.job_id
        from near n
        join job_ready r on r.ctid = n.tid
        where n.scheduled_at <= now() and not (select s.many from sought s)
        order by n.priority desc, n.scheduled_at, n.job_id
        limit :limit::int
        for update of r skip locked
    ) p
),
taken as (
    -- By their place in the table: they are locked, so they can't have moved.
    delete from job_ready r where r.ctid = any(array(select p.tid from picked p))
),
claimed as materialized (
    select
        j.job_id, gen_random_uuid() as lease_id, j.lease_token + 1 as token, j.tenant_id,
        j.type, j.queue, j.priority, j.payload::text as payload, j.status, j.attempt, j.retry_count,
        j.worker_deaths, j.retry_kind, j.max_retries, j.retry_base_us, j.retry_max_us, j.timeout_us,
        j.workflow_id, j.key, j.depends_on, j.traceparent, j.created_at, j.scheduled_at, j.suspect,
        l.began as claimed_at, case when not j.suspect and p.place <= :start_count::int then l.began end as started_at,
        p.place
    from look l
    cross join picked p
    join jobs j on j.job_id = p.job_id
),
leased as (
    insert into job_leases (
        job_id, tenant_id, lease_id, token, owner, worker_id, workflow_id, claimed_at, started_at
    )
    select
        c.job_id, c.tenant_id, c.lease_id, c.token, :owner::uuid, :worker_id::text, c.workflow_id, c.claimed_at,
        c.started_at
    from claimed c
)
select
    (select l.began from look l) as at,
    (
        select min(n.scheduled_at) from near n where n.job_id <> all(array(select p.job_id from picked p))
    ) as next_due_at,
    s.seconds as sought_seconds, null::text as heads, s.many, c.*
from sought s
left join claimed c on true
order by c.place
