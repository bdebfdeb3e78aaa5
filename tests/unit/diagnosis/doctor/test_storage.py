"""What the check of storage says."""

from typing import Any

import attrs
import pytest

from schedora.diagnosis.doctor.finding import Observation
from schedora.diagnosis.doctor.storage import IndexSize, Storage, StoredTable
from tests.unit.diagnosis.doctor.told import (
    CRITICAL,
    GIB,
    HOUR,
    MIB,
    MILLION,
    MINUTE,
    SECOND,
    WARNING,
    Cases,
    Told,
    told_of,
)

STORED = StoredTable(
    name="t",
    live_rows=1_000,
    dead_rows=10,
    changed_rows=0,
    size_bytes=8192,
    row_bytes=100,
    vacuumed=MINUTE,
    analyzed=MINUTE,
)


def storage(**change: Any) -> Storage:
    return Storage(tables=[attrs.evolve(STORED, **change)])


CASES: Cases = [
    (
        Storage(autovacuum_problem="track_counts", database="d", database_age=1_500 * MILLION),
        [
            (
                "autovacuum_off",
                CRITICAL,
                "track_counts is off in the whole server",
                {"table": None, "command": "ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf()"},
            ),
            (
                "wraparound_near",
                CRITICAL,
                "the oldest transaction in database d is 1,500,000,000 transactions old",
                {"table": "", "age": 1500000000},
            ),
        ],
    ),
    (
        storage(autovacuum=False),
        [
            (
                "autovacuum_off",
                CRITICAL,
                "autovacuum is off for t",
                {"table": "t", "command": "ALTER TABLE t RESET (autovacuum_enabled)"},
            )
        ],
    ),
    (
        storage(toast_autovacuum=False),
        [
            (
                "autovacuum_off",
                CRITICAL,
                "autovacuum is off for the large values of t",
                {"table": "t", "command": "ALTER TABLE t RESET (toast.autovacuum_enabled)"},
            )
        ],
    ),
    (
        storage(dead_rows=500_000, vacuumed=None),
        [
            (
                "dead_rows",
                WARNING,
                "t has 500,000 dead rows beside 1,000 live ones, and was never vacuumed",
                {"table": "t", "dead_rows": 500000, "live_rows": 1000, "vacuumed_seconds": None},
            )
        ],
    ),
    (
        storage(dead_rows=5 * MILLION, vacuumed=90 * SECOND),
        [
            (
                "dead_rows",
                WARNING,
                "t has 5,000,000 dead rows beside 1,000 live ones, and was vacuumed 90 s ago",
                {"table": "t", "dead_rows": 5000000, "live_rows": 1000, "vacuumed_seconds": 90.0},
            )
        ],
    ),
    (
        storage(age=500 * MILLION),
        [
            (
                "wraparound_near",
                WARNING,
                "the oldest transaction in t is 500,000,000 transactions old",
                {"table": "t", "age": 500000000},
            )
        ],
    ),
    (
        storage(size_bytes=512 * MIB, indexes=(IndexSize(name="i", size_bytes=GIB, row_bytes=50),)),
        [
            (
                "table_bloated",
                WARNING,
                "t takes 512.0 MB for 1,010 rows of about 100 bytes",
                {"table": "t", "size_bytes": 536870912, "rows": 1010, "row_bytes": 100},
            ),
            (
                "index_bloated",
                WARNING,
                "i takes 1.0 GB for 1,010 rows",
                {"table": "t", "index": "i", "size_bytes": 1073741824, "rows": 1010},
            ),
        ],
    ),
    (
        storage(live_rows=100_000, row_bytes=None, analyzed=None),
        [
            (
                "never_analyzed",
                WARNING,
                "t has 100,000 rows and was never analyzed",
                {"table": "t", "live_rows": 100000},
            )
        ],
    ),
    (
        storage(changed_rows=5 * MILLION, analyzed=6 * HOUR),
        [
            (
                "statistics_stale",
                WARNING,
                "5,000,000 rows of t have changed since it was analyzed, 6 h ago",
                {"table": "t", "changed_rows": 5000000, "analyzed_seconds": 21600.0},
            )
        ],
    ),
]


@pytest.mark.parametrize(("facts", "told"), CASES)
def test_what_is_told(facts: Observation, told: Told) -> None:
    assert told_of(facts) == told
