-- Batches of events from one id on, in order, until they hold as many as asked for; and whether the position that is
-- gone on from is known: it is where the batch is still there, or was the last one that was removed.
--
-- Locks: none.
-- Index: events_pkey.
select
    coalesce((select f.pruned_to from event_feed f), 0) as pruned_to,
    exists (select from events e where e.id = :after::bigint) as kept,
    found.*
from (values (1)) one
left join lateral (
    select b.id, b.lost, b.notices::text as notices
    from (
        select e.id, e.lost, e.notices, sum(e.amount) over (order by e.id) - e.amount as ahead
        from events e
        where e.id >= :first::bigint
        order by e.id
        limit :limit::int
    ) b
    where b.ahead < :limit::int
) found on true
order by found.id
