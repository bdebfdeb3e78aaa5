"""Whether the schema is the one that this version made: its revision, tables, columns, indexes and options."""

from collections.abc import Iterator, Mapping, Sequence

from attrs import field, frozen

from schedora.diagnosis.doctor.finding import Finding, FindingType, Observation, Severity

_RESTORE = "Restore it from a backup; what schedora migrate makes of an empty database shows how it is to be."

SCHEMA_NONE = FindingType(
    "schema_none",
    consequence="Processes refuse to start.",
    fix="schedora migrate",
)
SCHEMA_BEHIND = FindingType(
    "schema_behind",
    consequence="Processes of this version refuse to start.",
    fix="schedora migrate",
)
SCHEMA_AHEAD = FindingType(
    "schema_ahead",
    consequence="Processes of this version stop, and none starts any more.",
    fix="Install the version that made it, and restart: API and reapers first, then workers.",
)
TABLE_MISSING = FindingType(
    "table_missing",
    consequence="Whatever needs it fails.",
    fix=_RESTORE,
)
COLUMN_MISSING = FindingType(
    "column_missing",
    consequence="Whatever needs it fails.",
    fix=_RESTORE,
)
INDEX_MISSING = FindingType(
    "index_missing",
    consequence="What goes by it goes through the whole table instead, slower with every job, or is no longer unique.",
    fix="{definition}",
)
INDEX_INVALID = FindingType(
    "index_invalid",
    consequence="It is written with every change and used by nothing.",
    fix="REINDEX INDEX CONCURRENTLY {index!i}",
)
INDEX_DIFFERS = FindingType(
    "index_differs",
    consequence="What goes by the index of this name may go through the whole table instead.",
    fix="DROP INDEX CONCURRENTLY {index!i}, then: {definition}",
)
INDEX_FOREIGN = FindingType(
    "index_foreign",
    consequence="Every job writes to it; on jobs it can take from claims and completions that they stay within a page.",
    fix="Unless you made it on purpose: DROP INDEX CONCURRENTLY {index!i}",
)
OPTIONS_DIFFER = FindingType(
    "options_differ",
    consequence="Pages have no room for a second version of their rows, or vacuum comes too late: the table grows.",
    fix="ALTER TABLE {table!i} {change}",
)


@frozen(kw_only=True)
class Index:
    """``unused``: nothing has ever gone by it, as far as the server remembers."""

    table: str
    name: str
    columns: tuple[str, ...]
    unique: bool
    partial: bool
    valid: bool = True
    in_the_making: bool = False
    """Whether an index of its table is being made just now: one that is not valid may be that one."""
    unused: bool = False
    definition: str = ""

    def agrees(self, other: "Index") -> bool:
        return (self.table, self.columns, self.unique, self.partial) == (
            other.table,
            other.columns,
            other.unique,
            other.partial,
        )


@frozen(kw_only=True)
class Table:
    """A table as it is, or as it is to be. ``options``: those of its storage."""

    name: str
    columns: frozenset[str]
    indexes: tuple[Index, ...] = ()
    options: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class Schema(Observation):
    """``revision``: what the database has, None for no tables; ``known``: those of this version, oldest first;
    ``compatible_since``: the oldest that a version must know to work there.
    """

    revision: str | None
    known: tuple[str, ...]
    compatible_since: str | None = None
    tables: Sequence[Table] = field(factory=tuple)
    wanted: Sequence[Table] = field(factory=tuple)

    def findings(self) -> Iterator[Finding]:
        newest = self.known[-1]
        if self.revision is None:
            yield SCHEMA_NONE.found(Severity.CRITICAL, "the database has no tables of Schedora")
            return
        if self.revision not in self.known:
            if self.compatible_since in self.known:
                return  # in the middle of an upgrade; what came since is for the next version to judge
            yield SCHEMA_AHEAD.found(
                Severity.CRITICAL,
                f"the schema is {self.revision}, newer than this version knows ({newest})",
                revision=self.revision,
                newest=newest,
            )
            return
        if self.revision != newest:
            yield SCHEMA_BEHIND.found(
                Severity.CRITICAL,
                f"the schema is {self.revision}, this version needs {newest}",
                revision=self.revision,
                newest=newest,
            )
            return
        there = {table.name: table for table in self.tables}
        for wanted in self.wanted:
            if wanted.name not in there:
                yield TABLE_MISSING.found(
                    Severity.CRITICAL, f"table {wanted.name} is missing", table=wanted.name
                )
            else:
                yield from _of_table(there[wanted.name], wanted)


def _of_table(table: Table, wanted: Table) -> Iterator[Finding]:
    for column in sorted(wanted.columns - table.columns):
        yield COLUMN_MISSING.found(
            Severity.CRITICAL,
            f"column {column} of {table.name} is missing",
            table=table.name,
            column=column,
        )
    yield from _of_indexes(table, wanted)
    for option in sorted(wanted.options.keys() | table.options.keys()):
        value = table.options.get(option)
        # Off altogether is found with the dead rows that it leaves.
        if option == "autovacuum_enabled" or value == wanted.options.get(option):
            continue
        yield OPTIONS_DIFFER.found(
            Severity.WARNING if option in wanted.options else Severity.OK,
            f"{table.name} has {option} = {value or '(unset)'}, Schedora made it with {wanted.options.get(option) or '(unset)'}",
            table=table.name,
            option=option,
            value=value,
            change=f"SET ({option} = {wanted.options[option]})"
            if option in wanted.options
            else f"RESET ({option})",
        )


def _of_indexes(table: Table, wanted: Table) -> Iterator[Finding]:
    there = {index.name: index for index in table.indexes}
    for index in wanted.indexes:
        found = there.pop(index.name, None)
        details = {"table": table.name, "index": index.name, "definition": index.definition}
        if found is None:
            yield INDEX_MISSING.found(
                Severity.CRITICAL, f"index {index.name} on {table.name} is missing", **details
            )
        elif not found.valid:
            yield from _invalid(found, Severity.CRITICAL)
        elif not found.agrees(index):
            yield INDEX_DIFFERS.found(
                Severity.CRITICAL,
                f"index {index.name} on {table.name} is not the one that Schedora made",
                **details,
            )
    for foreign in there.values():
        if not foreign.valid:
            yield from _invalid(foreign, Severity.WARNING)
            continue
        yield INDEX_FOREIGN.found(
            Severity.WARNING if foreign.unused else Severity.OK,
            f"index {foreign.name} on {table.name} is not one of Schedora's"
            + (", and nothing has used it" if foreign.unused else ""),
            table=table.name,
            index=foreign.name,
            unused=foreign.unused,
        )


def _invalid(index: Index, severity: Severity) -> Iterator[Finding]:
    if not index.in_the_making:
        yield INDEX_INVALID.found(
            severity,
            f"index {index.name} on {index.table} is invalid: what was to make it has failed",
            table=index.table,
            index=index.name,
        )
