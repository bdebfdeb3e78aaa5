-- Removes jobs outside of workflows that have been kept for long enough, oldest first: at most :limit of them, on a
-- walk over at most :scan_limit records from where the sweep stands.
--
-- At the horizon it starts over, behind what it has cleared away: there, entries of deleted rows may stay in the index
-- for as long as anybody holds a snapshot. Once a day it starts from the very beginning, for what came late.
--
-- Locks: the sweep's row, so that one walks at a time: whoever comes second finds nothing to do. Then jobs, passing
-- over what others have locked, so it never waits.
-- Index: jobs_pkey, trails_pkey. Nothing tells when a job ended: that would be an index which every completion writes.
with
{retention},
sweep as materialized (
    select s.position, s.cleared, s.restarted_at < now() - interval '1 day' as stale
    from sweeps s
    where s.name = 'jobs'
    for update skip locked
),
found as materialized (
    select w.tid, w.job_id, w.place, w.expired
    from (
        select
            j.ctid as tid, j.job_id, row_number() over (order by j.job_id) as place,
            j.workflow_id is null and now() - j.completed_at > case j.status
                when 'SUCCESS' then s.success
                when 'CANCELED' then s.canceled
                when 'DEAD' then s.dead
            end as expired
        from jobs j
        join spans s on s.tenant_id = j.tenant_id and s.queue = j.queue
        where j.job_id > (select s.position from sweep s) and j.job_id < (select h.id from horizon h)
        order by j.job_id
        limit :scan_limit::int
    ) w
    where w.expired or w.place = :scan_limit::int
    order by w.job_id
    limit :limit::int
),
locked as materialized (
    select j.ctid as tid
    from jobs j
    where j.ctid = any(array(select f.tid from found f where f.expired)) and j.status in ('SUCCESS', 'DEAD', 'CANCELED')
    for update skip locked
),
removed as (
    delete from jobs j
    where j.ctid = any(array(select l.tid from locked l))
    returning j.job_id, j.tenant_id, j.queue, j.status
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
            select f.job_id
            from found f
            where f.place = :scan_limit::int or (select count(*) from found) = :limit::int
            order by f.job_id desc
            limit 1
        ) as reached,
        case
            when s.position = s.cleared then coalesce(
                (
                    -- The last one before the first that stays.
                    select g.job_id
                    from (
                        select f.job_id, f.place, row_number() over (order by f.place) as gone_count
                        from found f
                        join removed r on r.job_id = f.job_id
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
    where s.name = 'jobs'
)
select
    (select count(*) from removed) as jobs, 0 as workflows,
    (select count(*) from found f where f.expired) >= :limit::int as more
