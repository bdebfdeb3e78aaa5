"""What reaches the terminal: tables for people, one JSON document for programs."""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

PIPE_WIDTH = 10_000
"""Columns when nobody watches: nothing is cut that a program may look for."""

STYLES = {
    "PENDING": "yellow",
    "SCHEDULED": "cyan",
    "RUNNING": "bold blue",
    "SUCCESS": "green",
    "FAILED": "red",
    "RETRYING": "magenta",
    "DEAD": "bold red",
    "CANCELED": "bright_black",
    "ACTIVE": "green",
    "DRAINING": "yellow",
    "STALE": "red",
    "STOPPED": "bright_black",
    "healthy": "green",
    "degraded": "yellow",
    "unhealthy": "bold red",
}


def console(*, stderr: bool = False) -> "Console":
    """Colours and live views on a terminal only, whatever the environment says."""
    from rich.console import Console  # noqa: PLC0415 - dear, and not needed for --json

    stream = sys.stderr if stderr else sys.stdout
    terminal = stream.isatty()
    return Console(
        file=stream,
        force_terminal=terminal,
        width=None if terminal else PIPE_WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
    )


def print_json(value: object) -> None:
    """One line, always UTF-8, as JSON is."""
    import json  # noqa: PLC0415 - only where it is needed

    from schedora.entrypoints.cli.documents import document  # noqa: PLC0415

    text = json.dumps(value, default=document, ensure_ascii=False, separators=(",", ":"))
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode() + b"\n")
    sys.stdout.buffer.flush()


def print_line(text: "str | Text | Table") -> None:
    """A line, however long, or a table."""
    console().print(plain(text) if isinstance(text, str) else text, soft_wrap=isinstance(text, str))


def print_note(text: str) -> None:
    """For the person beside the program: on standard error."""
    console(stderr=True).print(plain(text), style="bright_black", soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> "Table":
    """One line a row. The first column is never cut: people copy from there."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - dear, as above
    from rich.table import Table  # noqa: PLC0415

    made = Table(box=SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False, header_style="bold")
    cells = [[cell(one_line(value) if isinstance(value, str) else value) for value in row] for row in rows]
    for index, name in enumerate(columns):
        whole = max((row[0].cell_len for row in cells), default=0) if index == 0 else None
        made.add_column(name, no_wrap=True, overflow="ellipsis", min_width=whole)
    for row in cells:
        made.add_row(*row)
    return made


def details(pairs: Iterable[tuple[str, object]]) -> "Table":
    """Names on the left, values on the right; what is None is left out."""
    from rich.table import Table  # noqa: PLC0415 - dear, as above

    made = Table.grid(padding=(0, 2))
    made.add_column(style="bright_black", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs:
        if value not in (None, [], ()):
            made.add_row(name, cell(value))
    return made


def cell(value: object) -> "Text":
    """``value`` as a person reads it, harmless to the terminal."""
    from rich.text import Text  # noqa: PLC0415 - dear, as above

    match value:
        case Text():
            return value
        case None:
            return Text("-", style="bright_black")
        case bool():
            return Text("yes" if value else "no")
        case datetime():
            return Text(moment(value))
        case timedelta():
            return Text(span(value))
        case dict() | list():
            return Text(plain(compact(value)))
    text = plain(str(value))
    return Text(text, style=STYLES.get(text, ""))


def compact(document: Any) -> str:
    """JSON on one line, with the characters as they are."""
    import json  # noqa: PLC0415 - only where it is needed

    return json.dumps(document, ensure_ascii=False)


def moment(instant: datetime) -> str:
    """In the reader's own time zone, to the second."""
    return instant.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def span(length: timedelta) -> str:
    """``850ms``, ``12.3s``, ``4m05s``, ``3h07m``, ``2d04h``."""
    seconds = length.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes:02}m"
    return f"{hours // 24}d{hours % 24:02}h"


def plain(text: str) -> str:
    """``text`` with everything escaped that a terminal might obey: it comes from jobs, and so from anyone."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in "\n\t" else repr(character)[1:-1]
        for character in text
    )


def one_line(text: str) -> str:
    return plain(" ".join(text.split()))
