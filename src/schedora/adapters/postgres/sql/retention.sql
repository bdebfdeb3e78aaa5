-- How long ended jobs are kept in each queue, and the id that everything younger than the shortest of it is above.
--
-- An id is older than what it names, so nothing above the horizon can have expired. One from a clock that is ahead
-- is looked at later.
with
spans as not materialized (
    select
        q.tenant_id, q.name as queue,
        coalesce(q.retention_success, :success::interval) as success,
        coalesce(q.retention_canceled, :canceled::interval) as canceled,
        coalesce(q.retention_dead, :dead::interval) as dead
    from queues q
),
horizon as materialized (
    select (lpad(to_hex(greatest(0, extract(epoch from now() - shortest.span) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid as id
    from (
        select least(
            :success::interval, :canceled::interval, :dead::interval,
            (select min(least(s.success, s.canceled, s.dead)) from spans s)
        ) as span
    ) shortest
)
select h.id from horizon h
