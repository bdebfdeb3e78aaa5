"""How Schedora's tables lie on disk: dead rows, bloat, vacuum, statistics, and the age of their oldest transaction."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from attrs import field, frozen

from schedora.diagnosis.doctor.finding import Finding, FindingType, Observation, Severity, bad, sized
from schedora.diagnosis.wording import in_words

AUTOVACUUM_OFF = FindingType(
    "autovacuum_off",
    consequence="Nobody removes dead rows: tables grow with every job, and in the end the server stops to protect itself.",
    fix="{command}",
)
DEAD_ROWS = FindingType(
    "dead_rows",
    consequence="Claims, counts and lists walk over them, and the table grows.",
    fix="See the findings about old transactions first, then: VACUUM {table}. If it comes again, lower autovacuum_naptime.",
)
TABLE_BLOATED = FindingType(
    "table_bloated",
    consequence="Pages that are almost empty take room in memory and on disk; backups and scans read them all.",
    fix="With all processes stopped: VACUUM FULL {table}; while they run: pg_repack.",
)
INDEX_BLOATED = FindingType(
    "index_bloated",
    consequence="Claims and look-ups read more pages than they need to, and hardly fit into memory.",
    fix="REINDEX INDEX CONCURRENTLY {index!i}",
)
WRAPAROUND_NEAR = FindingType(
    "wraparound_near",
    consequence="At two billion the server takes no more writes until it was vacuumed.",
    fix="See the findings about old transactions first, then: VACUUM (FREEZE, VERBOSE) {table}",
)
NEVER_ANALYZED = FindingType(
    "never_analyzed",
    consequence="The planner guesses: lists and counts may go through whole tables.",
    fix="ANALYZE {table}",
)
STATISTICS_STALE = FindingType(
    "statistics_stale",
    consequence=NEVER_ANALYZED.consequence,
    fix="ANALYZE {table}. If it comes again, see whether autovacuum keeps up.",
)

DEAD_MIN = 500_000
"""Fewer are no trouble to anybody."""
VACUUM_DUE = timedelta(minutes=10)
DEAD_DESPITE_VACUUM_MIN = 5_000_000
"""More than a fast queue makes between two vacuums."""
BLOATED_MIN_BYTES, BLOATED_TIMES = 512 << 20, 10
WRAPAROUND_MIN, WRAPAROUND_CRITICAL = 500_000_000, 1_500_000_000
UNANALYZED_MIN_ROWS = 100_000
STALE_MIN_CHANGES, STALE_AFTER = 5_000_000, timedelta(hours=6)


@frozen(kw_only=True)
class IndexSize:
    name: str
    size_bytes: int
    row_bytes: int
    """What an entry takes, roughly."""


@frozen(kw_only=True)
class StoredTable:
    """As the server has counted; spans since then, None for never, as far as it remembers."""

    name: str
    live_rows: int
    dead_rows: int
    changed_rows: int
    """Since it was analyzed."""
    size_bytes: int
    row_bytes: int | None
    """What a row takes with the room left beside it, roughly; None where there are no statistics."""
    indexes: tuple[IndexSize, ...] = ()
    autovacuum: bool = True
    toast_autovacuum: bool = True
    """Of the large values, which lie apart."""
    vacuumed: timedelta | None = None
    analyzed: timedelta | None = None
    age: int = 0
    """How many transactions have begun since its oldest one."""


@frozen(kw_only=True)
class Storage(Observation):
    """``autovacuum_problem``: the setting that keeps autovacuum from running anywhere. ``database_age``: of the whole database."""

    autovacuum_problem: str | None = None
    database: str = ""
    database_age: int = 0
    tables: Sequence[StoredTable] = field(factory=tuple)

    def findings(self) -> Iterator[Finding]:
        if self.autovacuum_problem is not None:
            yield AUTOVACUUM_OFF.found(
                Severity.CRITICAL,
                f"{self.autovacuum_problem} is off in the whole server",
                table=None,
                command=f"ALTER SYSTEM SET {self.autovacuum_problem} = on; SELECT pg_reload_conf()",
            )
        if self.database_age >= WRAPAROUND_MIN:
            yield WRAPAROUND_NEAR.found(
                bad(self.database_age >= WRAPAROUND_CRITICAL),
                f"the oldest transaction in database {self.database} is {self.database_age:,} transactions old",
                table="",
                age=self.database_age,
            )
        for table in self.tables:
            yield from _of_table(table)


def _of_table(table: StoredTable) -> Iterator[Finding]:
    for on, rows, option in (
        (table.autovacuum, table.name, "autovacuum_enabled"),
        (table.toast_autovacuum, f"the large values of {table.name}", "toast.autovacuum_enabled"),
    ):
        if not on:
            yield AUTOVACUUM_OFF.found(
                Severity.CRITICAL,
                f"autovacuum is off for {rows}",
                table=table.name,
                command=f"ALTER TABLE {table.name} RESET ({option})",
            )
    overdue = table.vacuumed is None or table.vacuumed >= VACUUM_DUE
    dead_min = DEAD_MIN if overdue else DEAD_DESPITE_VACUUM_MIN
    if table.dead_rows >= max(dead_min, table.live_rows):
        yield DEAD_ROWS.found(
            Severity.WARNING,
            f"{table.name} has {table.dead_rows:,} dead rows beside {table.live_rows:,} live ones, and was "
            + ("never vacuumed" if table.vacuumed is None else f"vacuumed {in_words(table.vacuumed)} ago"),
            table=table.name,
            dead_rows=table.dead_rows,
            live_rows=table.live_rows,
            vacuumed_seconds=None if table.vacuumed is None else table.vacuumed.total_seconds(),
        )
    if table.age >= WRAPAROUND_MIN:
        yield WRAPAROUND_NEAR.found(
            bad(table.age >= WRAPAROUND_CRITICAL),
            f"the oldest transaction in {table.name} is {table.age:,} transactions old",
            table=table.name,
            age=table.age,
        )
    yield from _of_bloat(table)
    yield from _of_statistics(table)


def _of_bloat(table: StoredTable) -> Iterator[Finding]:
    # Dead rows lie there still: they are another finding, and vacuum makes room of them.
    rows = table.live_rows + table.dead_rows
    if table.row_bytes is not None and _bloated(table.size_bytes, rows * table.row_bytes):
        yield TABLE_BLOATED.found(
            Severity.WARNING,
            f"{table.name} takes {sized(table.size_bytes)} for {rows:,} rows of about {table.row_bytes} bytes",
            table=table.name,
            size_bytes=table.size_bytes,
            rows=rows,
            row_bytes=table.row_bytes,
        )
    for index in table.indexes:
        if _bloated(index.size_bytes, rows * index.row_bytes):
            yield INDEX_BLOATED.found(
                Severity.WARNING,
                f"{index.name} takes {sized(index.size_bytes)} for {rows:,} rows",
                table=table.name,
                index=index.name,
                size_bytes=index.size_bytes,
                rows=rows,
            )


def _bloated(size_bytes: int, needed_bytes: int) -> bool:
    return size_bytes >= BLOATED_MIN_BYTES and size_bytes >= BLOATED_TIMES * needed_bytes


def _of_statistics(table: StoredTable) -> Iterator[Finding]:
    if table.analyzed is None:
        if table.row_bytes is None and table.live_rows >= UNANALYZED_MIN_ROWS:
            yield NEVER_ANALYZED.found(
                Severity.WARNING,
                f"{table.name} has {table.live_rows:,} rows and was never analyzed",
                table=table.name,
                live_rows=table.live_rows,
            )
    elif table.analyzed >= STALE_AFTER and table.changed_rows >= max(STALE_MIN_CHANGES, table.live_rows):
        yield STATISTICS_STALE.found(
            Severity.WARNING,
            f"{table.changed_rows:,} rows of {table.name} have changed since it was analyzed, {in_words(table.analyzed)} ago",
            table=table.name,
            changed_rows=table.changed_rows,
            analyzed_seconds=table.analyzed.total_seconds(),
        )
