"""What the check of schema says."""

import attrs
import pytest

from schedora.diagnosis.doctor.finding import Observation
from schedora.diagnosis.doctor.schema import Index, Schema, Table
from tests.unit.diagnosis.doctor.told import CRITICAL, OK, WARNING, Cases, Told, told_of

INDEX = Index(
    table="t", name="i", columns=("a",), unique=False, partial=False, definition="CREATE INDEX i ON t (a)"
)
TABLE = Table(name="t", columns=frozenset({"a", "b"}), indexes=(INDEX,), options={"fillfactor": "70"})


def schema(table: Table) -> Schema:
    return Schema(revision="3", known=("1", "2", "3"), tables=[table], wanted=[TABLE])


CASES: Cases = [
    (
        Schema(revision=None, known=("1", "2", "3")),
        [("schema_none", CRITICAL, "the database has no tables of Schedora", {})],
    ),
    (
        Schema(revision="1", known=("1", "2", "3")),
        [
            (
                "schema_behind",
                CRITICAL,
                "the schema is 1, this version needs 3",
                {"revision": "1", "newest": "3"},
            )
        ],
    ),
    (
        Schema(revision="4", known=("1", "2", "3")),
        [
            (
                "schema_ahead",
                CRITICAL,
                "the schema is 4, newer than this version knows (3)",
                {"revision": "4", "newest": "3"},
            )
        ],
    ),
    (
        Schema(revision="3", known=("1", "2", "3"), wanted=[TABLE]),
        [("table_missing", CRITICAL, "table t is missing", {"table": "t"})],
    ),
    (
        schema(attrs.evolve(TABLE, columns=frozenset())),
        [
            ("column_missing", CRITICAL, "column a of t is missing", {"table": "t", "column": "a"}),
            ("column_missing", CRITICAL, "column b of t is missing", {"table": "t", "column": "b"}),
        ],
    ),
    (
        schema(attrs.evolve(TABLE, indexes=())),
        [
            (
                "index_missing",
                CRITICAL,
                "index i on t is missing",
                {"table": "t", "index": "i", "definition": "CREATE INDEX i ON t (a)"},
            )
        ],
    ),
    (
        schema(attrs.evolve(TABLE, indexes=(attrs.evolve(INDEX, valid=False),))),
        [
            (
                "index_invalid",
                CRITICAL,
                "index i on t is invalid: what was to make it has failed",
                {"table": "t", "index": "i"},
            )
        ],
    ),
    (
        schema(attrs.evolve(TABLE, indexes=(attrs.evolve(INDEX, columns=("b",)),))),
        [
            (
                "index_differs",
                CRITICAL,
                "index i on t is not the one that Schedora made",
                {"table": "t", "index": "i", "definition": "CREATE INDEX i ON t (a)"},
            )
        ],
    ),
    (
        schema(
            attrs.evolve(
                TABLE,
                indexes=(
                    INDEX,
                    *(
                        attrs.evolve(INDEX, name=name, valid=name != "x", unused=name == "y")
                        for name in "xyz"
                    ),
                ),
            )
        ),
        [
            (
                "index_invalid",
                WARNING,
                "index x on t is invalid: what was to make it has failed",
                {"table": "t", "index": "x"},
            ),
            (
                "index_foreign",
                WARNING,
                "index y on t is not one of Schedora's, and nothing has used it",
                {"table": "t", "index": "y", "unused": True},
            ),
            (
                "index_foreign",
                OK,
                "index z on t is not one of Schedora's",
                {"table": "t", "index": "z", "unused": False},
            ),
        ],
    ),
    (
        schema(attrs.evolve(TABLE, options={})),
        [
            (
                "options_differ",
                WARNING,
                "t has fillfactor = (unset), Schedora made it with 70",
                {"table": "t", "option": "fillfactor", "value": None, "change": "SET (fillfactor = 70)"},
            )
        ],
    ),
    (
        schema(
            attrs.evolve(
                TABLE, options={"autovacuum_enabled": "false", "fillfactor": "70", "parallel_workers": "4"}
            )
        ),
        [
            (
                "options_differ",
                OK,
                "t has parallel_workers = 4, Schedora made it with (unset)",
                {
                    "table": "t",
                    "option": "parallel_workers",
                    "value": "4",
                    "change": "RESET (parallel_workers)",
                },
            )
        ],
    ),
]


@pytest.mark.parametrize(("facts", "told"), CASES)
def test_what_is_told(facts: Observation, told: Told) -> None:
    assert told_of(facts) == told
