"""Statements: their text as PostgreSQL takes it, and their arguments by name.

Hot statements stand in ``sql/``, one file each, with parameters like ``:job_id``; a line ``{name}`` stands for
the common table expressions of the file ``name.sql``. All other statements are built with SQLAlchemy Core. Both
kinds become a ``Statement``: text with ``$1``, ``$2`` ... and the names of the parameters in that order.
"""

import re
from collections.abc import Collection, Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from attrs import field, frozen
from sqlalchemy import ClauseElement, ColumnElement, literal_column
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.sql.compiler import SQLCompiler

_PARAMETER = re.compile(r"(?<![:\w]):([a-z]\w*)")
_INCLUDED = re.compile(r"^ *\{(\w+)\}", re.MULTILINE)
_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)
_DIALECT = asyncpg.dialect()  # type: ignore[no-untyped-call] # as SQLAlchemy has it


@frozen
class Statement:
    text: str = field(repr=False)
    parameters: tuple[str, ...]
    constants: Mapping[str, Any] = field(factory=dict)
    """Parameters whose values belong to the statement."""

    def arguments(self, **values: Any) -> tuple[Any, ...]:
        """The values in the order of ``$1``, ``$2`` ...; raises ``TypeError`` unless the names are exact."""
        if values.keys() | self.constants.keys() != set(self.parameters):
            raise TypeError(f"the statement takes {sorted(self.parameters)}, not {sorted(values)}")
        values |= self.constants
        return tuple(values[name] for name in self.parameters)


@cache
def load(name: str) -> Statement:
    """The statement in ``sql/<name>.sql``."""
    text = _INCLUDED.sub(lambda found: _expressions(found[1]), _read(name))
    parameters: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return f"${parameters.setdefault(found[1], len(parameters) + 1)}"

    return Statement(_PARAMETER.sub(number, text).strip(), tuple(parameters))


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


def _read(name: str) -> str:
    source = files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return _COMMENT.sub("", source)


def _expressions(name: str) -> str:
    """What stands between ``with`` and the final ``select``, which starts at the beginning of a line."""
    head, found, _ = _read(name).partition("\nselect")
    if not found or not head.strip().startswith("with"):
        raise ValueError(f"{name}.sql is not of the form: with ... select ...")
    return head.strip().removeprefix("with").rstrip()
