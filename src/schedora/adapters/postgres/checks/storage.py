"""How the tables lie on disk, by what the server has counted and what their files measure."""

from collections.abc import Sequence

from schedora.adapters.postgres.checks.schema import wanted_tables
from schedora.adapters.postgres.session import Row, Session
from schedora.adapters.postgres.statements import written
from schedora.diagnosis.doctor.storage import IndexSize, Storage, StoredTable
from schedora.diagnosis.wording import some_of

_SERVER = written("""
select
    current_setting('autovacuum')::bool as autovacuum, current_setting('track_counts')::bool as counted,
    d.datname::text as name, age(d.datfrozenxid) as age
from pg_database d
where d.datname = current_database()
""")
# By functions: the view of what was counted brings all tables of the database together first, however many there are.
# What the server has counted is gone after a crash; then what it found when it last vacuumed or analyzed has to do.
# A row has a header of 24 bytes and a pointer of 4; its columns are known once it was analyzed, those of large values by
# what is left of them within the page.
_TABLES = written("""
select
    c.relname::text as name, greatest(pg_stat_get_live_tuples(c.oid), c.reltuples::bigint) as live_rows,
    pg_stat_get_dead_tuples(c.oid) as dead_rows, pg_stat_get_mod_since_analyze(c.oid) as changed_rows, pg_relation_size(c.oid) as size_bytes,
    coalesce(
        (select o.option_value::bool from pg_options_to_table(c.reloptions) o where o.option_name = 'autovacuum_enabled'), true
    ) as autovacuum,
    coalesce(
        (
            select o.option_value::bool
            from pg_class large
            cross join pg_options_to_table(large.reloptions) o
            where large.oid = c.reltoastrelid and o.option_name = 'autovacuum_enabled'
        ), true
    ) as toast_autovacuum,
    clock_timestamp() - greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) as vacuumed,
    clock_timestamp() - greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) as analyzed,
    age(c.relfrozenxid) as age, has_table_privilege(c.oid, 'select') as readable,
    coalesce(
        (select o.option_value::int from pg_options_to_table(c.reloptions) o where o.option_name = 'fillfactor'), 100
    ) as fill_percent,
    (
        select sum(w.avg_width * (1 - w.null_frac))::int
        from pg_stats w
        where w.schemaname = n.nspname and w.tablename = c.relname
    ) as columns_bytes
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.oid = any(array(select to_regclass(quote_ident(t)) from unnest(:names::text[]) t))
order by c.relname
""")
_INDEXES = written("""
select
    t.relname::text as table, c.relname::text as name, pg_relation_size(c.oid) as size_bytes,
    coalesce((
        select sum(w.avg_width)::int
        from pg_attribute a
        join pg_stats w on w.schemaname = n.nspname and w.tablename = t.relname and w.attname = a.attname
        where a.attrelid = i.indrelid and a.attnum = any(i.indkey)
    ), 100) as columns_bytes
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_class t on t.oid = i.indrelid
join pg_namespace n on n.oid = t.relnamespace
where i.indrelid = any(array(select to_regclass(quote_ident(t)) from unnest(:names::text[]) t)) and i.indpred is null
order by c.relname
""")
_ROW_OVERHEAD_BYTES, _ENTRY_OVERHEAD_BYTES = 28, 12
_SPLIT_TIMES = 2
"""Pages of an index that rows come to at random are half full."""


async def storage(session: Session) -> Storage:
    names = [table.name for table in wanted_tables()]
    (server,) = await session.fetch(_SERVER)
    indexes = await session.fetch(_INDEXES, names=names)
    off = [
        setting
        for setting, on in (("autovacuum", server["autovacuum"]), ("track_counts", server["counted"]))
        if not on
    ]
    tables = await session.fetch(_TABLES, names=names)
    hidden = [row["name"] for row in tables if not row["readable"]]
    return Storage(
        autovacuum_problem=off[0] if off else None,
        database=server["name"],
        database_age=server["age"],
        tables=[_table(row, indexes) for row in tables],
        unseen=f"how much room rows take can't be seen of {some_of(hidden)}; for that: GRANT SELECT"
        if hidden
        else None,
    )


def _table(row: Row, indexes: Sequence[Row]) -> StoredTable:
    columns_bytes = row["columns_bytes"]
    return StoredTable(
        name=row["name"],
        live_rows=row["live_rows"],
        dead_rows=row["dead_rows"],
        changed_rows=row["changed_rows"],
        size_bytes=row["size_bytes"],
        row_bytes=None
        if columns_bytes is None
        else (columns_bytes + _ROW_OVERHEAD_BYTES) * 100 // row["fill_percent"],
        indexes=tuple(
            IndexSize(
                name=index["name"],
                size_bytes=index["size_bytes"],
                row_bytes=(index["columns_bytes"] + _ENTRY_OVERHEAD_BYTES) * _SPLIT_TIMES,
            )
            for index in indexes
            if index["table"] == row["name"]
        ),
        autovacuum=row["autovacuum"],
        toast_autovacuum=row["toast_autovacuum"],
        vacuumed=row["vacuumed"],
        analyzed=row["analyzed"],
        age=row["age"],
    )
