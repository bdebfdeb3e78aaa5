-- Claims up to :limit due jobs for one worker: high priority first, then scheduled_at, then job_id.
--
-- Locks: job_ready, passing over what others have locked, so it never waits; then adds to job_leases. jobs is
-- only read.
-- Index: job_ready_lane_idx. A lane is one tenant, queue, priority and type; within it jobs stand in the order of
-- claims. A claim leaps from one lane that holds anything to the next, so lanes that are empty cost nothing, reads
-- the due heads of those that this worker serves, sees how many of the next :limit jobs stand in each, and takes
-- that many from each. So neither delayed jobs nor those of other types or queues are walked over, however many
-- there are, and the order across lanes is exact unless others claim at the same moment.
--
-- known_*: the claim cursor. Entries of rows deleted before stay in the index while any transaction might see
-- them; starting behind the place last claimed in a lane passes over them. Lanes that are not known are looked for
-- between those that are, and read from their beginning.
--
-- Each row of the answer carries `at`, which is also when the jobs were claimed, `next_due_at`, `sought_seconds` (what
-- it took to find the jobs) and `heads` (the first job of so many lanes as :heads_limit says, before this claim took
-- any); the only one, if none was claimed, nothing else. What jobs have in common comes once, in one row for all that
-- agree in it, and the rest as arrays, in no order: rows take twice as long to send and to read.
with
claimer as materialized (
    -- When it began to look: now() is when the statement came in, which is before what it sees if it had to wait since then.
    select clock_timestamp() as began
    from workers w
    where w.incarnation = :owner::uuid and w.status = 'ACTIVE'
),
known as materialized (
    select *
    from unnest(
        :known_tenant_id::int[], :known_queue::text[], :known_priority::int[], :known_type::text[],
        :known_at::timestamptz[], :known_id::uuid[]
    ) as k (tenant_id, queue, priority, type, after_at, after_id)
),
gap as materialized (
    -- Where lanes may be that are not known: between two of those, in one queue where queues are named.
    select
        edge.tenant_id, edge.queue, edge.priority, edge.type, upper.tenant_id as upper_tenant_id,
        upper.queue as upper_queue, upper.priority as upper_priority, upper.type as upper_type,
        -- How far to look. Before PostgreSQL 18 a scan ends at the first column of such a bound alone, and would walk
        -- over all that stands behind it: there the first row is taken, and then compared.
        case
            when current_setting('server_version_num')::int >= 180000 then upper.tenant_id
            else 2147483647
        end as reach_tenant_id
    from (
        select
            e.tenant_id, e.queue, e.priority, e.type, lead(e.tenant_id) over along as next_tenant_id,
            lead(e.queue) over along as next_queue, lead(e.priority) over along as next_priority,
            lead(e.type) over along as next_type
        from (
            select k.tenant_id, k.queue, k.priority, k.type from known k
            union all
            select 0, '', -1, '' where cardinality(:queues::text[]) = 0
            union all
            select q.tenant_id, q.name, -1, '' from queues q where q.name = any(:queues::text[])
        ) e
        window along as (order by e.tenant_id, e.queue, e.priority, e.type)
    ) edge
    cross join lateral (
        select edge.next_tenant_id, edge.next_queue, edge.next_priority, edge.next_type
        where cardinality(:queues::text[]) = 0 and edge.next_queue is not null
            or (edge.next_tenant_id, edge.next_queue) = (edge.tenant_id, edge.queue)
        union all
        select edge.tenant_id, edge.queue, 11, ''
        where cardinality(:queues::text[]) > 0
            and (edge.next_tenant_id, edge.next_queue) is distinct from (edge.tenant_id, edge.queue)
        union all
        select 2147483647, '', 0, ''
        where cardinality(:queues::text[]) = 0 and edge.next_queue is null
    ) upper (tenant_id, queue, priority, type)
    where exists (select from claimer)
),
head as materialized (
    -- The first job of each lane that holds any, due or not.
    with recursive
    unknown as (
        select g.reach_tenant_id, g.upper_tenant_id, g.upper_queue, g.upper_priority, g.upper_type, first.*
        from gap g
        cross join lateral (
            select r.tenant_id, r.queue, r.priority, r.type, r.scheduled_at, r.job_id
            from job_ready r
            where (r.tenant_id, r.queue, r.priority, r.type) > (g.tenant_id, g.queue, g.priority, g.type)
                and (r.tenant_id, r.queue, r.priority, r.type)
                    < (g.reach_tenant_id, g.upper_queue, g.upper_priority, g.upper_type)
            order by r.tenant_id, r.queue, r.priority, r.type, r.scheduled_at, r.job_id
            limit 1
        ) first
        where (first.tenant_id, first.queue, first.priority, first.type)
            < (g.upper_tenant_id, g.upper_queue, g.upper_priority, g.upper_type)
        union all
        select u.reach_tenant_id, u.upper_tenant_id, u.upper_queue, u.upper_priority, u.upper_type, next.*
        from unknown u
        cross join lateral (
            select r.tenant_id, r.queue, r.priority, r.type, r.scheduled_at, r.job_id
            from job_ready r
            where (r.tenant_id, r.queue, r.priority, r.type) > (u.tenant_id, u.queue, u.priority, u.type)
                and (r.tenant_id, r.queue, r.priority, r.type)
                    < (u.reach_tenant_id, u.upper_queue, u.upper_priority, u.upper_type)
            order by r.tenant_id, r.queue, r.priority, r.type, r.scheduled_at, r.job_id
            limit 1
        ) next
        where (next.tenant_id, next.queue, next.priority, next.type)
            < (u.upper_tenant_id, u.upper_queue, u.upper_priority, u.upper_type)
    )
    select lane.*
    from (
        select
            u.tenant_id, u.queue, u.priority, u.type, '-infinity'::timestamptz as after_at,
            '00000000-0000-0000-0000-000000000000'::uuid as after_id, u.scheduled_at, u.job_id
        from unknown u
        union all
        select k.*, next.*
        from known k
        cross join lateral (
            select r.scheduled_at, r.job_id
            from job_ready r
            where r.tenant_id = k.tenant_id and r.queue = k.queue and r.priority = k.priority and r.type = k.type
                and (r.scheduled_at, r.job_id) > (k.after_at, k.after_id)
            order by r.scheduled_at, r.job_id
            limit 1
        ) next
    ) lane
    where lane.type = any(:types::text[])
        and exists (select from claimer)
        and (
            select q.paused_at is null and (cardinality(:queues::text[]) = 0 or q.name = any(:queues::text[]))
            from queues q
            where q.tenant_id = lane.tenant_id and q.name = lane.queue
        )
),
due as materialized (
    -- The next :limit jobs stand in lanes whose heads are among the first :limit heads.
    select h.*, count(*) over () as lanes, count(*) over (partition by h.priority) as peers
    from (
        select h.* from head h where h.scheduled_at <= now()
        order by h.priority desc, h.scheduled_at, h.job_id
        limit :limit::int
    ) h
),
bound as materialized (
    -- No later than this does the last of the next :limit jobs stand: that many stand before it, an equal share of
    -- them in each lane of its priority. None where there are fewer.
    select near.priority, near.scheduled_at, near.job_id
    from (
        select d.priority, share.scheduled_at, share.job_id
        from due d
        cross join lateral (
            select d.scheduled_at, d.job_id where d.peers >= :limit::int
            union all
            (
                select r.scheduled_at, r.job_id
                from job_ready r
                where d.peers < :limit::int
                    and r.tenant_id = d.tenant_id and r.queue = d.queue and r.priority = d.priority
                    and r.type = d.type and (r.scheduled_at, r.job_id) > (d.after_at, d.after_id)
                    and r.scheduled_at <= now()
                order by r.scheduled_at, r.job_id
                limit (:limit::int + d.peers - 1) / d.peers
            )
        ) share
        where d.lanes > 1
    ) near
    order by near.priority desc, near.scheduled_at, near.job_id
    offset :limit::int - 1
    limit 1
),
share as materialized (
    select next.tenant_id, next.queue, next.priority, next.type, next.after_at, next.after_id, count(*) as jobs
    from (
        select d.*
        from due d
        left join bound b on true
        cross join lateral (
            select r.scheduled_at, r.job_id
            from job_ready r
            where r.tenant_id = d.tenant_id and r.queue = d.queue and r.priority = d.priority and r.type = d.type
                and (r.scheduled_at, r.job_id) > (d.after_at, d.after_id)
                and (r.scheduled_at, r.job_id) <= (
                    case
                        when d.priority = b.priority then b.scheduled_at
                        when d.priority < b.priority then '-infinity'
                        else now()
                    end,
                    case
                        when d.priority = b.priority then b.job_id
                        else 'ffffffff-ffff-ffff-ffff-ffffffffffff'
                    end
                )
            order by r.scheduled_at, r.job_id
            limit :limit::int
        ) place
        where d.lanes > 1
        order by d.priority desc, place.scheduled_at, place.job_id
        limit :limit::int
    ) next
    group by next.tenant_id, next.queue, next.priority, next.type, next.after_at, next.after_id
    union all
    select d.tenant_id, d.queue, d.priority, d.type, d.after_at, d.after_id, :limit::int
    from due d
    where d.lanes = 1
),
picked as materialized (
    select place.tid, lane.priority, place.scheduled_at, place.job_id
    from share lane
    cross join lateral (
        select r.ctid as tid, r.scheduled_at, r.job_id
        from job_ready r
        where r.tenant_id = lane.tenant_id and r.queue = lane.queue
            and r.priority = lane.priority and r.type = lane.type
            and (r.scheduled_at, r.job_id) > (lane.after_at, lane.after_id)
            and r.scheduled_at <= now()
        order by r.scheduled_at, r.job_id
        limit lane.jobs
        for update skip locked
    ) place
),
sought as materialized (
    select
        extract(epoch from clock_timestamp() - c.began)::float8 as seconds,
        (
            select json_agg(json_build_array(h.tenant_id, h.queue, h.priority, h.type, h.scheduled_at, h.job_id))::text
            from (select h.* from head h limit :heads_limit::int) h
        ) as heads
    from claimer c
    where (select count(*) from picked) >= 0
),
taken as (
    -- By their place in the table: they are locked, so they can't have moved.
    delete from job_ready r
    where r.ctid = any(array(select p.tid from picked p)) and exists (select from sought)
    returning r.job_id
),
buffered as materialized (
    -- The first of those that are not started with the claim.
    select p.priority, p.scheduled_at, p.job_id
    from picked p
    where (select count(*) from picked) > :start_count::int
    order by p.priority desc, p.scheduled_at, p.job_id
    offset :start_count::int
    limit 1
),
claimed as materialized (
    select
        j.job_id, (c.half || right(j.job_id::text, 17))::uuid as lease_id, j.lease_token + 1 as token, j.tenant_id,
        j.type, j.queue, j.priority, j.payload::text as payload, j.status, j.attempt, j.retry_count,
        j.worker_deaths, j.retry_kind, j.max_retries, j.retry_base_us, j.retry_max_us, j.timeout_us,
        j.workflow_id, j.key, j.depends_on::text as depends_on, j.traceparent, j.created_at, j.scheduled_at,
        j.suspect,
        case
            when not j.suspect
                and (
                    c.priority is null
                    or (-j.priority, j.scheduled_at, j.job_id) < (-c.priority, c.scheduled_at, c.job_id)
                )
            then c.began
        end as started_at,
        c.began as claimed_at
    from (
        -- A lease id is half this claim's own and half its job's: random numbers are dear.
        select left(gen_random_uuid()::text, 19) as half, one.began, b.priority, b.scheduled_at, b.job_id
        from claimer one
        left join buffered b on true
    ) c
    join jobs j on j.job_id = any(array(select t.job_id from taken t))
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
    select min(next.scheduled_at) as due_at
    from (select h.* from head h where (select count(*) from picked) < :limit::int) h
    cross join lateral (
        select h.scheduled_at where h.scheduled_at > now()
        union all
        (
            select r.scheduled_at
            from job_ready r
            where h.scheduled_at <= now()
                and r.tenant_id = h.tenant_id and r.queue = h.queue and r.priority = h.priority and r.type = h.type
                and (r.scheduled_at, r.job_id) > (h.after_at, h.after_id)
                and r.job_id <> all(array(select p.job_id from picked p))
            order by r.scheduled_at, r.job_id
            limit 1
        )
    ) next
),
alike as (
    select
        c.tenant_id, c.token, c.type, c.queue, c.priority, c.status, c.attempt, c.retry_count, c.worker_deaths,
        c.retry_kind, c.max_retries, c.retry_base_us, c.retry_max_us, c.timeout_us, c.suspect,
        array_agg(c.job_id) as job_ids, array_agg(c.lease_id) as lease_ids, array_agg(c.payload) as payloads,
        array_agg(c.workflow_id) as workflow_ids, array_agg(c.key) as keys, array_agg(c.depends_on) as depend_on,
        array_agg(c.traceparent) as traceparents, array_agg(c.created_at) as created_ats,
        array_agg(c.scheduled_at) as scheduled_ats, array_agg(c.started_at) as started_ats
    from claimed c
    group by
        c.tenant_id, c.token, c.type, c.queue, c.priority, c.status, c.attempt, c.retry_count, c.worker_deaths,
        c.retry_kind, c.max_retries, c.retry_base_us, c.retry_max_us, c.timeout_us, c.suspect
)
select
    coalesce((select c.began from claimer c), now()) as at,
    (select w.due_at from waiting w) as next_due_at,
    (select s.seconds from sought s) as sought_seconds,
    (select s.heads from sought s) as heads,
    a.*
from (select) as answer
left join alike a on true
