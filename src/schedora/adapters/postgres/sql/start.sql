-- Records that attempts have started, or what they tell of themselves. A start that is on record stays.
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
started as (
    update job_leases l
    set started_at = coalesce(l.started_at, b.started_at),
        progress = coalesce(b.progress::json, l.progress)
    from begun b
    where l.job_id = b.job_id and l.lease_id = b.lease_id
    returning l.lease_id
)
select now() as at, array(select s.lease_id from started s) as accepted
