-- Records that attempts have started, or what they tell of themselves. A start that is on record stays.
-- Answers the time, and which were accepted unless all were.
--
-- Locks: job_leases in the order given (by job_id).
-- Index: job_leases_pkey. Touches no index.
with
begun as materialized (
    select *
    from unnest(
        :start_job_id::uuid[], :start_lease_id::uuid[], :started_at::timestamptz[], :progress::text[]
    ) as b (job_id, lease_id, started_at, progress)
),
told as materialized (
    -- Each lease is looked up by itself: joined with a table that was empty when the plan was made, all would be
    -- compared with all. The limit, which is no limit, lets the planner expect one row; then it goes by their place.
    select l.tid, b.lease_id, b.started_at, b.progress
    from begun b
    cross join lateral (
        select l.ctid as tid from job_leases l where l.job_id = b.job_id and l.lease_id = b.lease_id for update
    ) l
    limit cardinality(:start_job_id::uuid[])
),
started as (
    update job_leases l
    set started_at = coalesce(l.started_at, t.started_at),
        progress = coalesce(t.progress::json, l.progress)
    from told t
    where l.ctid = t.tid
)
-- One that another report moved at this moment is not found again: then that one has put the start on record.
select
    now() as at,
    case
        when (select count(*) from told) < cardinality(:start_job_id::uuid[])
            then array(select t.lease_id from told t)
    end as accepted
