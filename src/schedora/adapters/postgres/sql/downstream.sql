-- All that depends on the jobs :job_id, directly or not. Locks nothing: the workflow is locked.
-- Index: job_dependencies_pkey by upstream_id.
with recursive
reached as (
    select d.job_id from job_dependencies d where d.upstream_id = any(:job_id::uuid[])
    union
    select d.job_id from reached r join job_dependencies d on d.upstream_id = r.job_id
)
select r.job_id from reached r order by r.job_id
