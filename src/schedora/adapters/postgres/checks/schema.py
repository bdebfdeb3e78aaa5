"""The schema as it is, beside the one that this version's tables describe."""

from functools import cache

from schedora.adapters.postgres.schema import REVISIONS, stored_in
from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import written
from schedora.diagnosis.doctor.schema import Index, Schema, Table

_TABLES = written("""
select
    c.relname::text as name, coalesce(c.reloptions, '{}') as options,
    array(
        select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ) as columns
from pg_class c
where c.oid = any(array(select to_regclass(quote_ident(n)) from unnest(:names::text[]) n))
""")
_INDEXES = written("""
select
    t.relname::text as table, c.relname::text as name, i.indisunique as unique, i.indpred is not null as partial,
    i.indisvalid and i.indisready as valid,
    exists (select from pg_stat_progress_create_index p where p.relid = i.indrelid) as in_the_making,
    coalesce(s.idx_scan, 0) = 0 as unused,
    array(
        select coalesce(a.attname::text, '(' || pg_get_indexdef(i.indexrelid, k.n::int, true) || ')')
        from unnest(i.indkey) with ordinality as k (attnum, n)
        left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum and k.attnum > 0
        where k.n <= i.indnkeyatts
        order by k.n
    ) as columns
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_class t on t.oid = i.indrelid
left join pg_stat_all_indexes s on s.indexrelid = i.indexrelid
where i.indrelid = any(array(select to_regclass(quote_ident(n)) from unnest(:names::text[]) n))
order by t.relname, c.relname
""")


async def schema(session: Session) -> Schema:
    wanted = wanted_tables()
    names = [table.name for table in wanted]
    stored = await stored_in(session)
    indexes = [
        Index(
            table=row["table"],
            name=row["name"],
            columns=tuple(row["columns"]),
            unique=row["unique"],
            partial=row["partial"],
            valid=row["valid"],
            in_the_making=row["in_the_making"],
            unused=row["unused"],
        )
        for row in await session.fetch(_INDEXES, names=names)
    ]
    return Schema(
        revision=stored.revision,
        known=REVISIONS,
        compatible_since=stored.compatible_since,
        tables=[
            Table(
                name=row["name"],
                columns=frozenset(row["columns"]),
                indexes=tuple(index for index in indexes if index.table == row["name"]),
                options=dict(option.split("=", 1) for option in row["options"]),
            )
            for row in await session.fetch(_TABLES, names=names)
        ],
        wanted=wanted,
    )


@cache
def wanted_tables() -> tuple[Table, ...]:
    """As ``tables.py`` has them."""
    # Who never looks need not carry SQLAlchemy.
    from sqlalchemy import MetaData, PrimaryKeyConstraint, UniqueConstraint  # noqa: PLC0415
    from sqlalchemy.dialects.postgresql import dialect  # noqa: PLC0415
    from sqlalchemy.schema import AddConstraint, CreateIndex  # noqa: PLC0415

    from schedora.adapters.postgres.tables import metadata  # noqa: PLC0415

    made = dialect()  # type: ignore[no-untyped-call] # as SQLAlchemy has it
    tables = []
    # AddConstraint takes its constraint out of the table's own statement: that of a copy.
    copies = MetaData(naming_convention=metadata.naming_convention)
    for table in [known.to_metadata(copies) for known in metadata.sorted_tables]:
        indexes = [
            Index(
                table=table.name,
                name=str(constraint.name),
                columns=tuple(column.name for column in constraint.columns),
                unique=True,
                partial=False,
                definition=_one_line(str(AddConstraint(constraint).compile(dialect=made))),
            )
            for constraint in table.constraints
            if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint) and constraint.columns
        ]
        indexes += [
            Index(
                table=table.name,
                name=str(index.name),
                columns=tuple(column.name for column in index.columns),
                unique=bool(index.unique),
                partial=index.dialect_options["postgresql"]["where"] is not None,
                definition=_one_line(
                    str(CreateIndex(index).compile(dialect=made)).replace("INDEX", "INDEX CONCURRENTLY", 1)
                ),
            )
            for index in table.indexes
        ]
        tables.append(
            Table(
                name=table.name,
                columns=frozenset(column.name for column in table.columns),
                indexes=tuple(sorted(indexes, key=lambda index: index.name)),
                options={
                    name: str(value)
                    for name, value in (table.dialect_options["postgresql"]["with"] or {}).items()
                },
            )
        )
    return tuple(tables)


def _one_line(statement: str) -> str:
    return " ".join(statement.split())
