"""What reaches the terminal: tables for people, one JSON document for programs."""

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

WIDE_ENOUGH = 24
"""Characters that a column has to have before it may be cut, where others can go instead."""

NARROW_ENOUGH = 9
"""Characters that a column keeps in any case: a status stays one that can be read."""

ID_LENGTH = 36
"""Characters that the first column keeps: people copy from there."""

COLUMN_GAP = 3
EDGES = 2

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
    return Console(file=stream, force_terminal=stream.isatty(), highlight=False, markup=False, emoji=False)


def can_print(text: str, stream: TextIO) -> bool:
    """Whether where that goes has all these characters."""
    try:
        text.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def print_json(value: object) -> None:
    """One line, always UTF-8, as JSON is."""
    import json  # noqa: PLC0415 - only where it is needed

    from schedora.entrypoints.cli.documents import document  # noqa: PLC0415

    text = json.dumps(value, default=document, ensure_ascii=False, separators=(",", ":"))
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode() + b"\n")
    sys.stdout.buffer.flush()


def print_line(text: "str | Text") -> None:
    console().print(plain(text) if isinstance(text, str) else text, soft_wrap=True)


def print_note(text: str) -> None:
    """For the person beside the program: on standard error."""
    console(stderr=True).print(plain(text), style="bright_black", soft_wrap=True)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, spare: Sequence[str] = ()
) -> None:
    """One line a row. On a terminal too narrow for all, the ``spare`` columns go, first named first gone;
    where nobody watches, nothing is cut that a program may look for.
    """
    if sys.stdout.isatty():
        made = table(columns, rows, spare=spare)
        out = console()
        out.width = max(
            out.width, (made.columns[0].width or 0) + EDGES
        )  # what has no room, the terminal wraps
        out.print(made)
        return
    texts = [list(columns), *([one_line(cell(value).plain) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        print_line("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def print_details(pairs: Iterable[tuple[str, object]]) -> None:
    """A name and its value a line; what is None is left out."""
    told = [(name, value) for name, value in pairs if value is not None]
    width = max(len(name) for name, _ in told)
    for name, value in told:
        line = cell(name.ljust(width + 2))
        line.stylize("bright_black")
        print_line(line.append_text(cell(value)))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, spare: Sequence[str] = ()) -> "Table":
    """For a terminal: no wider than that, unless the first column alone is."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - dear, as above
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    texts = [[cell(one_line(value) if isinstance(value, str) else value) for value in row] for row in rows]
    widths = {
        name: max(text.cell_len for text in column)
        for name, column in zip(columns, zip(map(Text, columns), *texts, strict=True), strict=True)
    }
    width_max = console().width
    kept = _shrunk(_fitting(widths, spare, width_max), width_max)
    made = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name, width in kept.items():
        made.add_column(name, no_wrap=True, overflow="ellipsis", width=width)
    for row in texts:
        made.add_row(*(text for name, text in zip(columns, row, strict=True) if name in kept))
    return made


def _fitting(widths: Mapping[str, int], spare: Sequence[str], width_max: int) -> dict[str, int]:
    """The columns that stay: without as many of the ``spare`` ones as it takes to have room for the others, and
    without the last ones where there is none for those either.
    """
    first, *others = widths
    kept = dict(widths)
    for least, dropped in ((WIDE_ENOUGH, spare), (NARROW_ENOUGH, others[::-1])):
        for name in dropped:
            floors = {other: ID_LENGTH if other == first else least for other in kept}
            if _needed([min(width, floors[other]) for other, width in kept.items()]) <= width_max:
                break
            kept.pop(name, None)
    return kept


def _shrunk(widths: Mapping[str, int], width_max: int) -> dict[str, int]:
    """As wide as fits: the widest columns give way first."""
    first = next(iter(widths))
    floors = {name: ID_LENGTH if name == first else NARROW_ENOUGH for name in widths}
    shrunk = {name: min(width, max(width_max, floors[name])) for name, width in widths.items()}
    while _needed(shrunk.values()) > width_max:
        pliant = [name for name, width in shrunk.items() if width > floors[name]]
        if not pliant:
            break
        shrunk[max(pliant, key=shrunk.__getitem__)] -= 1
    return shrunk


def _needed(widths: Collection[int]) -> int:
    return sum(widths) + COLUMN_GAP * len(widths)


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
