-- Removes events that are older, at most so many batches, and notes how far that went. Nothing newer goes before
-- something older, whatever became of the clock.
--
-- Locks: rows of events in the order of their ids, passing over what others are removing.
-- Index: events_pkey, from where the last removal came to.
with
young as materialized (
    select e.id
    from events e
    where e.id > coalesce((select f.pruned_to from event_feed f), 0) and e.at >= now() - :older_than::interval
    order by e.id
    limit 1
),
gone as (
    delete from events e
    where e.id in (
        select o.id
        from events o
        where o.id > coalesce((select f.pruned_to from event_feed f), 0)
            and o.id < coalesce((select y.id from young y), 9223372036854775807)
        order by o.id
        limit :limit::int
        for update skip locked
    )
    returning e.id
),
noted as (
    insert into event_feed (pruned_to)
    select max(g.id) from gone g having count(*) > 0
    on conflict (one) do update set pruned_to = greatest(event_feed.pruned_to, excluded.pruned_to)
)
select count(*) as gone from gone
