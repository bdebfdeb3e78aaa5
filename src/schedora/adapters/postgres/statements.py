"""Statements: their text as PostgreSQL takes it, and their arguments by name.

Statements have parameters like ``:job_id``. Hot ones stand in ``sql/``, one file each; others whose text is always
the same are ``written`` where they are used. A line ``{name}`` stands for what is in the file ``name.sql``: its common
table expressions, or the beginning of a query. Statements that are put together from what is asked for are built
(``built.py``). All kinds become a ``Statement``: text with ``$1``, ``$2`` ... and the names of the parameters in that
order.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.resources import files
from typing import Any

from attrs import field, frozen

_PARAMETER = re.compile(r"(?<![:\w]):([a-z]\w*)")
_INCLUDED = re.compile(r"^ *\{(\w+)\}", re.MULTILINE)
_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)


@frozen
class Statement:
    text: str = field(repr=False)
    parameters: tuple[str, ...]
    constants: Mapping[str, Any] = field(factory=dict)
    """Parameters whose values belong to the statement."""

    def arguments(self, **values: Any) -> tuple[Any, ...]:
        """The values in the order of ``$1``, ``$2`` ...; raises ``TypeError`` unless the names are exact."""
        values |= self.constants
        with suppress(KeyError):
            if len(values) == len(self.parameters):
                return tuple([values[name] for name in self.parameters])
        raise TypeError(f"the statement takes {sorted(self.parameters)}, not {sorted(values)}")


@cache
def load(name: str) -> Statement:
    """The statement in ``sql/<name>.sql``."""
    return written(_read(name))


def written(text: str) -> Statement:
    """The statement of this text."""
    text = _INCLUDED.sub(lambda found: _part(found[1]), text)
    parameters: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return f"${parameters.setdefault(found[1], len(parameters) + 1)}"

    return Statement(_PARAMETER.sub(number, text).strip(), tuple(parameters))


def _read(name: str) -> str:
    source = files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return _COMMENT.sub("", source)


def _part(name: str) -> str:
    """A query from its ``select`` on; else what stands between ``with`` and the final ``select``, which starts at the
    beginning of a line.
    """
    text = _INCLUDED.sub(lambda found: _part(found[1]), _read(name)).strip()
    if text.startswith("select"):
        return text
    head, found, _ = text.partition("\nselect")
    if not found or not head.startswith("with"):
        raise ValueError(f"{name}.sql is not of the form: [with ...] select ...")
    return head.removeprefix("with").rstrip()
