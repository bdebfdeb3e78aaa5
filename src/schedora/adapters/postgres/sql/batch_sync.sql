-- Completions, starts and a claim in one statement, which is one round trip and one commit: complete.sql,
-- start.sql and claim.sql as they are, and one answer.
--
-- Locks: as those do. What is completed here and waits again can be claimed from the next batch on.
-- The answer is that of claim.sql, each row with `accepted` as well.
with
{complete},
{start},
{claim}
select
    coalesce((select c.began from claimer c), now()) as at,
    case
        when (select count(*) from ended) + (select count(*) from told)
                < cardinality(:job_id::uuid[]) + cardinality(:start_job_id::uuid[])
            then array(select e.lease_id from ended e union all select t.lease_id from told t)
    end as accepted,
    -- What this very batch puts back is not in its own view of job_ready.
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
    a.*
from (select) as answer
left join alike a on true
