-- What is known of one job and of what it needs to run, in one row; none where there is no such job. Locks nothing.
--
-- It costs as much as there are live workers, jobs that those hold who could take it, and jobs that it depends on:
-- nothing grows with how many are stored.
-- Index: jobs_pkey, job_leases_pkey, job_leases_owner_idx, queues_pkey, workers_pkey.
with recursive
subject as materialized (
    select
        j.job_id, j.tenant_id, j.type, j.queue, j.priority, j.created_at, j.scheduled_at, j.timeout_us, j.waits_for,
        j.depends_on, j.status, j.attempt, j.worker_id, j.started_at, j.completed_at,
        (j.history -> -1)::text as last_move, ((j.errors -> -1) - 'traceback')::text as last_error,
        l.owner, l.worker_id as held_worker_id, l.claimed_at as held_claimed_at, l.started_at as held_started_at,
        j.status in ('PENDING', 'RETRYING') and j.waits_for > 0
            or j.status = 'CANCELED' and j.history -> -1 ->> 'reason' = 'upstream_failed' as has_causes
    from jobs j
    left join job_leases l on l.job_id = j.job_id
    where j.job_id = :job_id::uuid
),
way as (
    -- From cause to cause: of all that stand in the way, the first.
    select s.depends_on, 0 as hop, s.has_causes, null::uuid as job_id
    from subject s
    union all
    select cause.depends_on, w.hop + 1, cause.has_causes, cause.job_id
    from way w
    cross join lateral (
        select
            u.job_id, u.depends_on,
            u.status in ('PENDING', 'RETRYING') and u.waits_for > 0
                or u.status = 'CANCELED' and u.history -> -1 ->> 'reason' = 'upstream_failed' as has_causes
        from unnest(w.depends_on) as d (job_id)
        join jobs u on u.job_id = d.job_id
        where u.status <> 'SUCCESS'
        order by u.status not in ('DEAD', 'CANCELED'), u.waits_for > 0, u.job_id
        limit 1
    ) cause
    where w.has_causes and w.hop < :hops_max::int
),
cause as materialized (
    select c.job_id, false as is_root
    from (
        select u.job_id
        from subject s
        cross join lateral unnest(s.depends_on) as d (job_id)
        join jobs u on u.job_id = d.job_id
        where s.has_causes and u.status <> 'SUCCESS'
        order by u.status not in ('DEAD', 'CANCELED'), u.waits_for > 0, u.job_id
        limit :upstream_max::int
    ) c
    union all
    (
        select w.job_id, true
        from way w
        cross join subject s
        where w.hop > 1 and w.job_id <> all(s.depends_on)
        order by w.hop desc
        limit 1
    )
)
select
    s.*, now() as at, q.paused_at, h.status as holder_status, h.last_heartbeat as holder_last_heartbeat,
    h.max_concurrent_jobs as holder_slots,
    (
        select max(u.completed_at)
        from jobs u
        where s.owner is null and s.status in ('PENDING', 'RETRYING') and s.waits_for = 0 and u.job_id = any(s.depends_on)
    ) as released_at,
    (select count(*) from job_leases l where l.owner = s.owner and l.started_at is not null) as holder_running_jobs,
    (
        select
            json_agg(
                json_build_object(
                    'is_root', c.is_root, 'job_id', u.job_id, 'key', u.key, 'type', u.type,
                    'status', case
                        when l.started_at is not null then 'RUNNING'
                        when l.job_id is not null then 'SCHEDULED'
                        else u.status
                    end,
                    'since', coalesce(l.started_at, l.claimed_at, u.completed_at, u.scheduled_at),
                    'waits_for', u.waits_for, 'worker_id', l.worker_id,
                    'error_kind', u.errors -> -1 ->> 'kind', 'error_message', u.errors -> -1 ->> 'message'
                )
                order by u.status not in ('DEAD', 'CANCELED'), u.waits_for > 0, u.job_id
            )::text
        from cause c
        join jobs u on u.job_id = c.job_id
        left join job_leases l on l.job_id = u.job_id
    ) as upstream,
    (
        select
            json_agg(
                json_build_object(
                    'worker_id', w.worker_id, 'status', w.status, 'last_heartbeat', w.last_heartbeat,
                    'slots', w.max_concurrent_jobs, 'knows_type', w.knows_type, 'serves_queue', w.serves_queue,
                    'held_jobs', case
                        when w.status = 'ACTIVE' and w.knows_type and w.serves_queue
                            then (select count(*) from job_leases l where l.owner = w.incarnation)
                        else 0
                    end
                )
                order by w.worker_id, w.incarnation
            )::text
        from (
            select
                w.incarnation, w.worker_id, w.status, w.last_heartbeat, w.max_concurrent_jobs,
                s.type = any(w.types) as knows_type,
                cardinality(w.queues) = 0 or s.queue = any(w.queues) as serves_queue
            from workers w
            where w.status in ('ACTIVE', 'DRAINING') and s.owner is null and s.status in ('PENDING', 'RETRYING')
        ) w
    ) as workers
from subject s
left join queues q on q.tenant_id = s.tenant_id and q.name = s.queue
left join workers h on h.incarnation = s.owner
