"""What the processes logged: how many errors, and which tracebacks nobody had a reason to expect."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
from attrs import field, frozen

ERRORS = frozenset({"error", "critical"})
INTENDED = "schedora_torture.handlers.Intended"
"""What the torture's own handlers raise on purpose."""
FATAL = "Fatal Python error:"
LAST_WORDS = ("Traceback (most recent call last):", FATAL)
GROUP_FRAME = " \n|+-"
"""With what the traceback of a group of exceptions is drawn."""


@frozen(kw_only=True)
class TracebackFound:
    """One sort of traceback: how often, and where it stands for the first time."""

    said: str
    times: int
    first_in: str


@frozen(kw_only=True)
class LogFindings:
    lines: int = 0
    by_level: Counter[str] = field(factory=Counter)
    messages: Counter[str] = field(factory=Counter)
    """Errors by what they say."""
    tracebacks: tuple[TracebackFound, ...] = ()


def read_logs(directory: Path) -> LogFindings:
    """Of all ``*.log`` there that Schedora's processes wrote, in the order of their names."""
    levels: Counter[str] = Counter()
    messages: Counter[str] = Counter()
    tracebacks: Counter[str] = Counter()
    places: dict[str, str] = {}
    lines = 0
    for path in sorted(directory.glob("*.log")):
        if path.name.startswith(("postgres-", "redis-")):
            continue
        for level, message, traceback in _read(path):
            lines += 1
            levels[level] += 1
            if level in ERRORS:
                messages[message] += 1
            if traceback is not None:
                said = f"{message}: {traceback}" if message else traceback
                tracebacks[said] += 1
                places.setdefault(said, path.name)
    return LogFindings(
        lines=lines,
        by_level=levels,
        messages=messages,
        tracebacks=tuple(
            TracebackFound(said=said, times=times, first_in=places[said])
            for said, times in tracebacks.most_common()
        ),
    )


def _read(path: Path) -> Iterator[tuple[str, str, str | None]]:
    """Level, message and the last line of a traceback, of each line."""
    raw: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as log:
        for line in log:
            document = _document(line)
            if document is None:
                raw.append(line.rstrip("\n"))
                continue
            if raw:
                yield from _unformatted(raw)
                raw = []
            exception = document.get("exception")
            yield (
                str(document.get("level", "info")).lower(),
                str(document.get("message", "")),
                None if exception is None else _unexpected(str(exception).splitlines()),
            )
    yield from _unformatted(raw)


def _document(line: str) -> dict[str, Any] | None:
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _unformatted(raw: list[str]) -> Iterator[tuple[str, str, str | None]]:
    """What was written past the log: a program's last words."""
    if not raw:
        return
    if any(beginning in line for line in raw for beginning in LAST_WORDS):
        yield "error", "", _unexpected(raw)
    else:
        yield "info", raw[-1], None


def _unexpected(lines: Iterable[str]) -> str | None:
    """The last line of a traceback that says what was raised; None for one that was raised on purpose."""
    told = [line.strip(GROUP_FRAME) for line in lines]
    fatal = next((line for line in told if line.startswith(FATAL)), None)
    said = fatal or next((line for line in reversed(told) if line), "")
    return None if said.startswith(INTENDED) else said
