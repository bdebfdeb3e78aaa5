-- Removes locked jobs for good; those that have not ended stay. Those that depended on them depend on them no more.
--
-- Locks: jobs, which the transaction holds already, and jobs that depend on them (their workflow is locked).
-- Index: jobs_pkey, job_dependencies_pkey, trails_pkey.
with
removed as (
    delete from jobs j
    where j.job_id = any(:job_id::uuid[]) and j.status in ('SUCCESS', 'DEAD', 'CANCELED')
    returning j.job_id, j.tenant_id, j.queue, j.status, j.depends_on
),
upwards as (
    delete from job_dependencies d
    using (select r.job_id, unnest(r.depends_on) as upstream_id from removed r) r
    where d.upstream_id = r.upstream_id and d.job_id = r.job_id
),
dependants as materialized (
    select distinct d.job_id from job_dependencies d
    where d.upstream_id = any(array(select r.job_id from removed r))
        and d.job_id <> all(array(select r.job_id from removed r))
    order by d.job_id
),
forgotten as (
    update jobs j
    set depends_on = (
        select array_agg(kept.upstream_id order by kept.place)
        from unnest(j.depends_on) with ordinality as kept (upstream_id, place)
        where kept.upstream_id <> all(array(select r.job_id from removed r))
    )
    from dependants d
    where j.job_id = d.job_id
),
downwards as (
    delete from job_dependencies d
    using dependants
    where d.upstream_id = any(array(select r.job_id from removed r)) and d.job_id = dependants.job_id
),
untrailed as (
    delete from trails t where t.job_id = any(array(select r.job_id from removed r))
),
counted as (
    insert into job_counts (tenant_id, queue, status, amount)
    select r.tenant_id, r.queue, r.status, -count(*)
    from removed r
    group by r.tenant_id, r.queue, r.status
)
select r.job_id from removed r
