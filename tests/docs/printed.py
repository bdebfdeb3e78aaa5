"""What was printed against what the page says: ``…`` stands for anything, alone on a line for any lines."""

import re

ANYTHING = "…"


def matches(expected: str, printed: str) -> bool:
    """Whether ``printed`` is what the page shows; blank ends of lines and of the whole don't count."""
    return re.fullmatch(_pattern(expected), _trimmed(printed)) is not None


def _pattern(expected: str) -> str:
    pattern = ""
    for line in _trimmed(expected).splitlines():
        if line.strip() == ANYTHING:
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*?".join(map(re.escape, line.split(ANYTHING))) + r"\n"
    return pattern


def _trimmed(text: str) -> str:
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    return "".join(f"{line}\n" for line in lines)
