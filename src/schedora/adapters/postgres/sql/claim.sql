-- Claims up to :limit due jobs for one worker: high priority first, then scheduled_at, then job_id.
--
-- Locks: job_ready, passing over what others have locked, so it never waits; then adds to job_leases. jobs is
-- only read.
-- Index: job_ready_lane_idx. A lane is one tenant, queue, priority and type; a claim reads the due heads of the
-- lanes that this worker serves, sees how many of the next :limit jobs stand in each, and takes that many from
-- each. So neither delayed jobs nor those of other types or queues are walked over, however many there are, and
-- the order across lanes is exact unless others claim at the same moment.
--
-- after_*: the claim cursor. Entries of rows deleted before stay in the index while any transaction might see
-- them; starting behind the place last claimed in a lane passes over them. A lane without a cursor is read from
-- its beginning.
--
-- The first row of the answer carries `at` and `next_due_at`, whether or not a job was claimed.
with
claimer as materialized (
    select from workers w where w.incarnation = :owner::uuid and w.status = 'ACTIVE'
),
due as materialized (
    -- The next :limit due jobs, in the order in which they should run: one level of priority after the other, and
    -- no further down than it takes to find them.
    select level.priority, head.*
    from generate_series(10, 0, -1) as level (priority)
    cross join lateral (
        select q.tenant_id, q.name as queue, t.type, start.after_at, start.after_id
        from queues q
        cross join unnest(:types::text[]) as t (type)
        left join unnest(
            :after_tenant_id::int[], :after_queue::text[], :after_priority::int[], :after_type::text[],
            :after_at::timestamptz[], :after_id::uuid[]
        ) as a (tenant_id, queue, priority, type, at, id)
            on a.tenant_id = q.tenant_id and a.queue = q.name and a.priority = level.priority and a.type = t.type
        cross join lateral (
            select
                coalesce(a.at, '-infinity') as after_at,
                coalesce(a.id, '00000000-0000-0000-0000-000000000000') as after_id
        ) start
        cross join lateral (
            select r.scheduled_at, r.job_id
            from job_ready r
            where r.tenant_id = q.tenant_id and r.queue = q.name
                and r.priority = level.priority and r.type = t.type
                and (r.scheduled_at, r.job_id) > (start.after_at, start.after_id)
                and r.scheduled_at <= now()
            order by r.scheduled_at, r.job_id
            limit :limit::int
        ) place
        where q.paused_at is null and (cardinality(:queues::text[]) = 0 or q.name = any(:queues::text[]))
        order by place.scheduled_at, place.job_id
        limit :limit::int
    ) head
    where exists (select from claimer)
    limit :limit::int
),
picked as materialized (
    select place.tid, place.job_id
    from (
        select d.tenant_id, d.queue, d.priority, d.type, d.after_at, d.after_id, count(*) as share
        from due d
        group by d.tenant_id, d.queue, d.priority, d.type, d.after_at, d.after_id
    ) lane
    cross join lateral (
        select r.ctid as tid, r.job_id
        from job_ready r
        where r.tenant_id = lane.tenant_id and r.queue = lane.queue
            and r.priority = lane.priority and r.type = lane.type
            and (r.scheduled_at, r.job_id) > (lane.after_at, lane.after_id)
            and r.scheduled_at <= now()
        order by r.scheduled_at, r.job_id
        limit lane.share
        for update skip locked
    ) place
),
taken as (
    -- By their place in the table: they are locked, so they can't have moved.
    delete from job_ready r where r.ctid = any(array(select p.tid from picked p)) returning r.job_id
),
claimed as materialized (
    select
        row_number() over running_order as position,
        j.job_id, gen_random_uuid() as lease_id, j.lease_token + 1 as token, j.tenant_id,
        j.type, j.queue, j.priority, j.payload::text as payload, j.status, j.attempt, j.retry_count,
        j.worker_deaths, j.retry_kind, j.max_retries, j.retry_base_us, j.retry_max_us, j.timeout_us,
        j.workflow_id, j.key, j.depends_on, j.traceparent, j.created_at, j.scheduled_at, j.suspect,
        now() as claimed_at,
        case when not j.suspect and row_number() over running_order <= :start_count::int then now() end as started_at
    from jobs j
    where j.job_id = any(array(select t.job_id from taken t))
    window running_order as (order by j.priority desc, j.scheduled_at, j.job_id)
),
leased as (
    insert into job_leases (
        job_id, tenant_id, lease_id, token, owner, worker_id, workflow_id, claimed_at, started_at
    )
    select
        c.job_id, c.tenant_id, c.lease_id, c.token, :owner::uuid, :worker_id::text, c.workflow_id, c.claimed_at,
        c.started_at
    from claimed c
),
waiting as materialized (
    -- The next job of each lane that this claim has not taken: due later, or due and locked by another.
    select min(head.scheduled_at) as due_at
    from generate_series(10, 0, -1) as level (priority)
    cross join queues q
    cross join unnest(:types::text[]) as t (type)
    cross join lateral (
        select r.scheduled_at
        from job_ready r
        where r.tenant_id = q.tenant_id and r.queue = q.name and r.priority = level.priority and r.type = t.type
            and r.job_id not in (select p.job_id from picked p)
        order by r.scheduled_at, r.job_id
        limit 1
    ) head
    where q.paused_at is null and (cardinality(:queues::text[]) = 0 or q.name = any(:queues::text[]))
        and (select count(*) from picked) < :limit::int
        and exists (select from claimer)
)
select
    now() as at,
    (select w.due_at from waiting w) as next_due_at,
    c.*
from (select) as answer
left join claimed c on true
order by c.position
