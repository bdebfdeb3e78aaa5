-- What some jobs depend on, :upstream_ids, and those that depend on :job_ids, in one row. Locks nothing.
--
-- It costs as much as there are of them.
-- Index: jobs_pkey, job_leases_pkey, job_dependencies_pkey by upstream_id.
select
    now() as at,
    (
        select
            json_agg(
                json_build_object(
                    'job_id', u.job_id, 'key', u.key, 'traceparent', u.traceparent,
                    'status', case
                        when l.started_at is not null then 'RUNNING'
                        when l.job_id is not null then 'SCHEDULED'
                        else u.status
                    end,
                    'claimed_at', coalesce(l.claimed_at, u.claimed_at), 'completed_at', u.completed_at
                )
            )::text
        from jobs u
        left join job_leases l on l.job_id = u.job_id
        where u.job_id = any(:upstream_ids::uuid[])
    ) as upstream,
    (
        select json_agg(json_build_object('job_id', a.job_id, 'count', d.amount, 'job_ids', d.job_ids))::text
        from unnest(:job_ids::uuid[]) as a (job_id)
        cross join lateral (
            select count(*) as amount, (array_agg(d.job_id order by d.job_id))[1 : :dependants_max::int] as job_ids
            from job_dependencies d
            where d.upstream_id = a.job_id
        ) d
        where d.amount > 0
    ) as dependants
