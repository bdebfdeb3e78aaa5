-- Decides requests for tokens one after the other, as decide() in domain/limits.py does, and writes what their buckets
-- lack then. Buckets are :names, in the order in which they are locked; a take names one by its place there. The takes
-- of request n are those from :first[n] to :first[n + 1] - 1.
--
-- A bucket without a row is full. Where somebody else gives it a row meanwhile, this fails by the primary key, with
-- nothing done, and is to be tried again.
--
-- Locks: token_buckets in the order of their names; then new rows of it, in the same order.
-- Index: token_buckets_pkey.
with recursive
named as materialized (
    select n.name, n.place
    from unnest(:names::text[]) with ordinality as n (name, place)
),
locked as materialized (
    select n.place, b.full_at, b.rest
    from named n
    join token_buckets b on b.tenant_id = :tenant_id::int and b.name = n.name
    order by n.place
    for update of b
),
-- Read when all locks are there: whoever had them before has gone by an earlier time.
moment as materialized (
    select clock_timestamp() as now from (select count(*) from locked) l
),
found as materialized (
    select
        n.name, n.place, l.place is not null as stored,
        case when l.full_at > m.now then (extract(epoch from l.full_at - m.now) * 1000000)::bigint else 0 end as us,
        case when l.full_at >= m.now then l.rest else 0 end as rest
    from named n
    cross join moment m
    left join locked l on l.place = n.place
),
decided as (
    select
        0 as request, 0::bigint as wait_us,
        -- What each bucket lacks, by its place: whole microseconds, and parts of one.
        (select jsonb_object_agg(f.place, jsonb_build_array(f.us, f.rest)) from found f) as lacks
    union all
    select d.request + 1, r.wait_us, d.lacks || case when r.wait_us = 0 then r.granted else r.refused end
    from decided d
    cross join lateral (
        select
            coalesce(max(over.us), 0) as wait_us,
            coalesce(jsonb_object_agg(a.bucket, jsonb_build_array(lack.us, lack.rest)), '{}') as refused,
            coalesce(jsonb_object_agg(a.bucket, jsonb_build_array(wish.us, wish.rest)), '{}') as granted
        from (select (:first::int[])[d.request + 1] as low, (:first::int[])[d.request + 2] - 1 as high) i
        cross join lateral unnest(
            (:bucket::int[])[i.low:i.high], (:parts::bigint[])[i.low:i.high],
            (:cost_us::bigint[])[i.low:i.high], (:cost_rest::bigint[])[i.low:i.high],
            (:capacity_us::bigint[])[i.low:i.high], (:capacity_rest::bigint[])[i.low:i.high]
        ) as a (bucket, parts, cost_us, cost_rest, capacity_us, capacity_rest)
        cross join lateral (
            select (d.lacks -> a.bucket::text ->> 0)::bigint as us, (d.lacks -> a.bucket::text ->> 1)::bigint as rest
        ) kept
        cross join lateral (
            -- Parts of another limit count as a whole microsecond.
            select kept.us + (kept.rest >= a.parts)::int as us, case when kept.rest < a.parts then kept.rest else 0 end as rest
        ) own
        cross join lateral (
            select (own.us, own.rest) > (a.capacity_us, a.capacity_rest) as too_long
        ) bound
        cross join lateral (
            select
                case when bound.too_long then a.capacity_us else own.us end as us,
                case when bound.too_long then a.capacity_rest else own.rest end as rest
        ) lack
        cross join lateral (
            select
                lack.us + a.cost_us + (lack.rest + a.cost_rest) / a.parts as us, (lack.rest + a.cost_rest) % a.parts as rest
        ) wish
        cross join lateral (
            select
                case when (wish.us, wish.rest) > (a.capacity_us, a.capacity_rest)
                    then wish.us - a.capacity_us + (wish.rest > a.capacity_rest)::int
                end as us
        ) over
    ) r
    where d.request < cardinality(:first::int[]) - 1
),
left_behind as materialized (
    select
        f.name, f.place, f.stored, m.now + (e.us * interval '1 microsecond') as full_at, e.rest,
        (e.us, e.rest) <> (f.us, f.rest) as changed
    from (select d.lacks from decided d order by d.request desc limit 1) d
    cross join moment m
    cross join found f
    cross join lateral (
        select (d.lacks -> f.place::text ->> 0)::bigint as us, (d.lacks -> f.place::text ->> 1)::bigint as rest
    ) e
),
written as (
    update token_buckets b
    set full_at = l.full_at, rest = l.rest
    from left_behind l
    where l.stored and l.changed and b.tenant_id = :tenant_id::int and b.name = l.name
),
made as (
    insert into token_buckets (tenant_id, name, full_at, rest)
    select :tenant_id::int, l.name, l.full_at, l.rest
    from left_behind l
    where l.changed and not l.stored
    order by l.place
)
select d.wait_us from decided d where d.request > 0 order by d.request
