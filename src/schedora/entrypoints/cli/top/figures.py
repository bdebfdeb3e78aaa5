"""Numbers, spans and curves as they are shown: short, and never more exact than they are known."""

import math
from collections.abc import Sequence
from datetime import timedelta

from schedora.entrypoints.cli.printing import span

UNKNOWN = "-"
BLOCKS = "▁▂▃▄▅▆▇█"


def count(number: float) -> str:
    """``999``, ``9,999``, ``12.3k``, ``4.5M``."""
    if number < 10_000:
        return f"{number:,.0f}"
    for unit, size in (("k", 1e3), ("M", 1e6), ("G", 1e9)):
        if number < size * 999.5:
            scaled = number / size
            return f"{scaled:.1f}{unit}" if scaled < 99.95 else f"{scaled:.0f}{unit}"
    return f"{number:.0e}"


def rate(per_second: float | None) -> str:
    if per_second is None:
        return UNKNOWN
    if per_second == 0:
        return "0"
    if per_second < 0.1:
        return "<0.1"
    return f"{per_second:.1f}" if per_second < 9.95 else count(round(per_second))


def share(part: float | None) -> str:
    if part is None:
        return UNKNOWN
    if 0 < part < 0.01:
        return "<1%"
    return ">99%" if 0.99 < part < 1 else f"{part:.0%}"


def percent(number: float | None) -> str:
    return UNKNOWN if number is None else f"{number:.0f}%"


def length(seconds: float | None, *, longest_bound: str = "∞") -> str:
    if seconds is None:
        return UNKNOWN
    return longest_bound if math.isinf(seconds) else span(timedelta(seconds=seconds))


def curve(values: Sequence[float | None], width: int) -> str:
    """One character a value, the newest at the right; blank where nothing is known. Its height is that of the largest."""
    shown = list(values)[-width:]
    top = max((value for value in shown if value is not None), default=0.0)
    return "".join(_block(value, top) for value in shown).rjust(width)


def _block(value: float | None, top: float) -> str:
    if value is None:
        return " "
    if value <= 0:
        return BLOCKS[0]
    return BLOCKS[max(1, math.ceil(value / top * (len(BLOCKS) - 1)))]
