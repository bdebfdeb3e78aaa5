-- Completions, starts and a claim in one statement, which is one round trip and one commit: complete.sql,
-- start.sql and claim.sql as they are, and one answer.
--
-- Locks: as those do. What is completed here and waits again can be claimed from the next exchange on.
-- The first row of the answer carries `at`, `accepted` and `next_due_at`, whether or not a job was claimed.
with
{complete},
{start},
{claim},
first as materialized (
    select c.job_id from claimed c order by c.priority desc, c.scheduled_at, c.job_id limit 1
)
select
    now() as at,
    case
        when c.job_id is not distinct from (select f.job_id from first f)
            then array(select e.lease_id from ended e union all select t.lease_id from told t)
    end as accepted,
    -- What this very exchange puts back is not in its own view of job_ready.
    (
        select least(w.due_at, (
            select min(r.scheduled_at)
            from recorded r
            join queues q on q.tenant_id = r.tenant_id and q.name = r.queue
            where r.status in ('PENDING', 'RETRYING') and r.type = any(:types::text[])
                and q.paused_at is null and (cardinality(:queues::text[]) = 0 or q.name = any(:queues::text[]))
                and (select count(*) from picked) < :limit::int
                and exists (select from claimer)
        ))
        from waiting w
    ) as next_due_at,
    (select s.seconds from sought s) as sought_seconds,
    (select s.heads from sought s) as heads,
    c.*
from (select) as answer
left join claimed c on true
order by c.priority desc, c.scheduled_at, c.job_id
