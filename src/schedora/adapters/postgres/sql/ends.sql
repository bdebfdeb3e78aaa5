-- The ends that claims have come to, as a worker tells them.
--
-- A column comes as an array with one element a completion or, where all have the same there, as that value, in the
-- parameter whose name begins with all_; then the array is empty. Other arrays of nulls may be left empty. Times are
-- seconds since 1970: exact to the microsecond until 2255, and encoded in a quarter of the time.
with
ends as materialized (
    select
        d.job_id, d.lease_id, coalesce(d.status, :all_status::text) as status,
        coalesce(d.attempt, :all_attempt::int) as attempt,
        coalesce(d.retry_count, :all_retry_count::int) as retry_count,
        coalesce(d.worker_deaths, :all_worker_deaths::int) as worker_deaths, d.suspect, d.scheduled_at,
        to_timestamp(d.started_at) as started_at, to_timestamp(d.ended_at) as ended_at,
        coalesce(d.result, :all_result::text) as result, d.error_message, d.error, d.moves
    from unnest(
        :job_id::uuid[], :lease_id::uuid[], :status::text[], :attempt::int[],
        :retry_count::int[], :worker_deaths::int[], :suspect::bool[], :scheduled_at::timestamptz[],
        :run_started_at::float8[], :ended_at::float8[], :result::text[], :error_message::text[],
        :error::text[], :moves::text[]
    ) as d (
        job_id, lease_id, status, attempt, retry_count, worker_deaths, suspect, scheduled_at,
        started_at, ended_at, result, error_message, error, moves
    )
)
select e.lease_id from ends e
