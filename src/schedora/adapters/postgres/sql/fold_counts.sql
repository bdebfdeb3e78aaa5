-- Sums up rows of job_counts, so that there are few. Does nothing while there are few.
--
-- Locks: rows of job_counts, passing over what others have locked. Whoever reads meanwhile sees the old rows or
-- the new ones, never both.
with
old as materialized (
    select c.ctid as tid from job_counts c limit 10000 for update skip locked
),
gone as (
    delete from job_counts c
    where c.ctid = any(array(select o.tid from old o)) and (select count(*) from old) > :few::int
    returning c.tenant_id, c.queue, c.status, c.amount
),
folded as (
    insert into job_counts (tenant_id, queue, status, amount)
    select g.tenant_id, g.queue, g.status, sum(g.amount)
    from gone g
    group by g.tenant_id, g.queue, g.status
    having sum(g.amount) <> 0
)
select count(*) as gone from gone
