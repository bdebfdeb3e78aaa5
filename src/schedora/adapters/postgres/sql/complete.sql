-- Ends claims: exactly what `completed()` in domain/completion.py says, for those whose lease is still there.
-- Answers the time, and which were accepted unless all were.
--
-- Locks: job_leases in the order given (by job_id), then jobs; then adds to job_ready and job_counts.
-- Index: job_leases_pkey, jobs_pkey. The update of jobs touches no index unless the job is DEAD.
with
{ends},
done as (select e.* from ends e),
{ended}
select
    now() as at,
    case
        when (select count(*) from ended) < cardinality(:job_id::uuid[]) then array(select e.lease_id from ended e)
    end as accepted
