-- Removes workflows that have ended and of which every job has been kept for long enough, oldest first: as many as
-- have :limit jobs together, on a walk over at most :scan_limit workflows from where the sweep stands.
--
-- At the horizon it starts over, behind what it has cleared away: there, entries of deleted rows may stay in the index
-- for as long as anybody holds a snapshot. Once a day it starts from the very beginning, for what came late.
--
-- Locks: the sweep's row, so that one walks at a time: whoever comes second finds nothing to do. Then workflows,
-- passing over what others have locked or changed meanwhile; then their jobs, which nobody changes without that lock.
-- Index: workflows_pkey; jobs_workflow_idx, up to the first job that has to be kept; job_dependencies_pkey.
with
{retention},
sweep as materialized (
    select s.position, s.cleared, s.restarted_at < now() - interval '1 day' as stale
    from sweeps s
    where s.name = 'workflows'
    for update skip locked
),
found as materialized (
    select w.workflow_id, w.total_jobs, w.completed_at, w.place, w.expired
    from (
        select
            w.workflow_id, w.total_jobs, w.completed_at, row_number() over (order by w.workflow_id) as place,
            case
                when w.completed_at is null then false
                when w.total_jobs = 0 then now() - w.completed_at > :canceled::interval
                else coalesce((
                    select false
                    from jobs j
                    join spans s on s.tenant_id = j.tenant_id and s.queue = j.queue
                    where j.workflow_id is not null and j.workflow_id = w.workflow_id
                        and (now() - j.completed_at > case j.status
                            when 'SUCCESS' then s.success
                            when 'CANCELED' then s.canceled
                            when 'DEAD' then s.dead
                        end) is not true
                    limit 1
                ), true)
            end as expired
        from workflows w
        where w.workflow_id > (select s.position from sweep s) and w.workflow_id < (select h.id from horizon h)
        order by w.workflow_id
        limit :scan_limit::int
    ) w
    where w.expired or w.place = :scan_limit::int
    order by w.workflow_id
    limit :few::int
),
picked as materialized (
    select s.workflow_id, s.total_jobs, s.completed_at, s.place, s.expired
    from (
        select f.*, sum(case when f.expired then greatest(f.total_jobs, 1) else 0 end) over (order by f.place) as jobs_so_far
        from found f
    ) s
    where s.jobs_so_far - case when s.expired then greatest(s.total_jobs, 1) else 0 end < :limit::int
),
locked as materialized (
    -- As they were seen: what has changed since then has other jobs than this statement sees.
    select w.workflow_id
    from picked p
    join workflows w
        on w.workflow_id = p.workflow_id and w.total_jobs = p.total_jobs and w.completed_at = p.completed_at
    where p.expired
    order by w.workflow_id
    for update of w skip locked
),
removed as (
    delete from jobs j
    where j.workflow_id is not null and j.workflow_id = any(array(select l.workflow_id from locked l))
    returning j.job_id, j.tenant_id, j.queue, j.status
),
unlinked as (
    delete from job_dependencies d where d.upstream_id = any(array(select r.job_id from removed r))
),
ended as (
    delete from workflows w where w.workflow_id = any(array(select l.workflow_id from locked l)) returning w.workflow_id
),
untrailed as (
    delete from trails t where t.job_id = any(array(select r.job_id from removed r))
),
counted as (
    insert into job_counts (tenant_id, queue, status, amount)
    select r.tenant_id, r.queue, r.status, -count(*)
    from removed r
    group by r.tenant_id, r.queue, r.status
),
ahead as materialized (
    select
        s.stale,
        (
            select p.workflow_id
            from picked p
            where p.place = :scan_limit::int
                or (select count(*) from found) = :few::int
                or (select count(*) from picked) < (select count(*) from found)
            order by p.workflow_id desc
            limit 1
        ) as reached,
        case
            when s.position = s.cleared then coalesce(
                (
                    -- The last one before the first that stays.
                    select g.workflow_id
                    from (
                        select f.workflow_id, f.place, row_number() over (order by f.place) as gone_count
                        from picked f
                        join ended r on r.workflow_id = f.workflow_id
                    ) g
                    where g.place = g.gone_count
                    order by g.place desc
                    limit 1
                ),
                s.cleared
            )
            else s.cleared
        end as cleared
    from sweep s
),
moved as (
    update sweeps s
    set position = coalesce(a.reached, case when a.stale then '00000000-0000-0000-0000-000000000000' else a.cleared end),
        cleared = case when a.reached is null and a.stale then '00000000-0000-0000-0000-000000000000' else a.cleared end,
        restarted_at = case when a.reached is null and a.stale then now() else s.restarted_at end
    from ahead a
    where s.name = 'workflows'
)
select
    (select count(*) from removed) as jobs, (select count(*) from ended) as workflows,
    (select count(*) from found f where f.expired) >= :few::int
        or (select count(*) from picked) < (select count(*) from found) as more
