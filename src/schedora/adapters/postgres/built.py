"""Statements that are put together from what is asked for, with SQLAlchemy Core.

Only pages of lists need them: workers and reapers, which show none, need not carry SQLAlchemy.
"""

from collections.abc import Collection
from enum import StrEnum
from typing import Any

from sqlalchemy import ClauseElement, ColumnElement, literal_column
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.sql.compiler import SQLCompiler

from schedora.adapters.postgres.statements import Statement

_DIALECT = asyncpg.dialect()  # type: ignore[no-untyped-call] # as SQLAlchemy has it


def compiled(statement: ClauseElement) -> Statement:
    """A Core statement whose variable values are ``bindparam``. Compiling is slow: do it once a statement."""
    made = statement.compile(dialect=_DIALECT)
    if not isinstance(made, SQLCompiler) or made.positiontup is None:
        raise TypeError("the dialect numbers its parameters")
    parameters = tuple(dict.fromkeys(made.positiontup))
    constants = {name: value for name in parameters if (value := made.params.get(name)) is not None}
    return Statement(str(made), parameters, constants)


def among(column: ColumnElement[Any], states: Collection[StrEnum]) -> ColumnElement[bool]:
    """Whether the column holds one of these, which are written into the statement."""
    return column.in_([literal_column(f"'{state.value}'") for state in sorted(states)])
