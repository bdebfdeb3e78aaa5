"""Figures and lists as messages tell them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

ERROR_LENGTH_MAX: Final = 200
"""Characters of an error in a message."""

NAMED_MAX: Final = 3
"""Of so many workers or jobs a message tells the names."""


def in_words(span: timedelta) -> str:
    """``0.3 s``, ``41 s``, ``12 min``, ``3 h``, ``5 days``: two digits or so, rounded down; nothing is below 0."""
    seconds = max(0.0, span.total_seconds())
    if seconds < 10:
        return f"{int(seconds * 10) / 10:g} s"
    for unit, unit_seconds, below in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if seconds < below * unit_seconds:
            return f"{seconds // unit_seconds:.0f} {unit}"
    return f"{seconds // 86_400:,.0f} days"


def ago(at: datetime, then: datetime) -> str:
    """How long before ``at`` that was: ``41 s ago``."""
    return f"{in_words(at - then)} ago"


def plural(count: int, one: str, many: str | None = None) -> str:
    """The word that goes with so many."""
    return one if count == 1 else many or f"{one}s"


def counted(count: int, one: str, many: str | None = None) -> str:
    """``1 job``, ``1,204 jobs``."""
    return f"{count:,} {plural(count, one, many)}"


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def some_of(names: Sequence[str]) -> str:
    """``a, b, c and 1,201 more``: the first few, all of them where there are no more."""
    told = list(names[:NAMED_MAX])
    if (more := len(names) - len(told)) > 0:
        told.append(f"{more:,} more")
    return listed(told)


def one_line(text: str) -> str:
    """Names of types, queues and workers come from anyone, and may have lines of their own."""
    return " ".join(text.splitlines())


def error_line(kind: str, message: str | None) -> str:
    """An error on one line, shortened."""
    text = " ".join(f"{kind}: {message}".split()) if message else kind
    return text if len(text) <= ERROR_LENGTH_MAX else f"{text[: ERROR_LENGTH_MAX - 1]}…"
