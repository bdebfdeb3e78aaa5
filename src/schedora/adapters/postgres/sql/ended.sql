-- What the ends that are `done` make of their jobs, if their lease is still there.
with
ended as materialized (
    -- The fence: a claim that lost its lease finds no row here, and nothing of it is written. Each is looked up by
    -- itself: joined with a table that was empty when the plan was made, all would be compared with all.
    select
        l.*, d.*, d.status in ('SUCCESS', 'DEAD', 'CANCELED') as ends_job,
        -- Where this statement sees the lease: a report of its start, committed since, may have moved it from there.
        coalesce(
            (select seen.ctid from job_leases seen where seen.ctid = l.tid),
            (select seen.ctid from job_leases seen where seen.job_id = d.job_id and seen.lease_id = d.lease_id)
        ) as seen_tid
    from done d
    cross join lateral (
        select l.ctid as tid, l.worker_id, l.claimed_at, l.token, l.workflow_id
        from job_leases l
        where l.job_id = d.job_id and l.lease_id = d.lease_id
            -- Who says that the attempt had not started must not have missed a report of its start.
            and (l.started_at is null or d.started_at is not null)
        for update
    ) l
    -- No limit, but the planner expects one row by it: then it looks up each record, too.
    limit cardinality(:job_id::uuid[])
),
given_up as (
    -- By their place in the table: by the one that this statement sees, to find them, and by the one where they were
    -- locked, which is looked at again if that is another.
    delete from job_leases l
    where l.ctid = any(array(select e.seen_tid from ended e union all select e.tid from ended e where e.tid <> e.seen_tid))
),
recorded as (
    update jobs j
    set status = e.status,
        lease_token = e.token,
        attempt = e.attempt,
        retry_count = e.retry_count,
        worker_deaths = e.worker_deaths,
        suspect = coalesce(e.suspect, false),
        scheduled_at = coalesce(e.scheduled_at, j.scheduled_at),
        worker_id = case when e.ends_job then e.worker_id end,
        claimed_at = case when e.ends_job then e.claimed_at end,
        started_at = case when e.ends_job then e.started_at end,
        completed_at = case when e.ends_job then e.ended_at end,
        dead_at = case when e.status = 'DEAD' then e.ended_at end,
        result = e.result::json,
        error_message = e.error_message,
        errors = case
            when e.error is null then j.errors
            when jsonb_array_length(j.errors) >= :errors_limit::int
                then jsonb_path_query_array(
                    j.errors || e.error::jsonb,
                    '$[$first to last]',
                    jsonb_build_object('first', jsonb_array_length(j.errors) + 1 - :errors_limit::int)
                )
            else coalesce(j.errors, '[]') || e.error::jsonb
        end,
        history = case
            when e.moves is null then j.history
            when jsonb_array_length(j.history) + jsonb_array_length(e.moves::jsonb) > :history_limit::int
                then jsonb_path_query_array(
                    j.history || e.moves::jsonb,
                    '$[$first to last]',
                    jsonb_build_object(
                        'first',
                        jsonb_array_length(j.history) + jsonb_array_length(e.moves::jsonb) - :history_limit::int
                    )
                )
            else coalesce(j.history, '[]') || e.moves::jsonb
        end
    from ended e
    where j.job_id = e.job_id
    returning j.job_id, j.tenant_id, j.queue, j.priority, j.type, j.scheduled_at, j.status, j.waits_for
),
again as (
    insert into job_ready (job_id, tenant_id, queue, priority, type, scheduled_at, status)
    select r.job_id, r.tenant_id, r.queue, r.priority, r.type, r.scheduled_at, r.status
    from recorded r
    where r.status in ('PENDING', 'RETRYING') and r.waits_for = 0
),
counted as (
    insert into job_counts (tenant_id, queue, status, amount)
    select r.tenant_id, r.queue, r.status, count(*)
    from recorded r
    where r.status in ('SUCCESS', 'DEAD', 'CANCELED')
    group by r.tenant_id, r.queue, r.status
)
select e.lease_id from ended e
