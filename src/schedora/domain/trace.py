"""The trace that a job belongs to: W3C Trace Context, level 1, the ``traceparent`` header."""

import re
from collections.abc import Callable
from typing import Self

from attrs import evolve, frozen

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_STORED = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-(00|01)")


@frozen(kw_only=True)
class TraceContext:
    """``trace_id`` (32 hex digits) and the ``span_id`` (16) of whoever submitted the job."""

    trace_id: str
    span_id: str
    sampled: bool = True

    @classmethod
    def parse(cls, traceparent: str) -> Self | None:
        """None where the header is malformed: the standard asks to start a new trace then."""
        match = _TRACEPARENT.fullmatch(traceparent.strip())
        if match is None:
            return None
        trace_id, span_id, flags, _ = match.groups()
        if set(trace_id) == {"0"} or set(span_id) == {"0"}:
            return None
        if traceparent.strip().startswith("00") and match.group(4):
            return None
        return cls(trace_id=trace_id, span_id=span_id, sampled=bool(int(flags, 16) & 1))

    @classmethod
    def stored(cls, traceparent: str) -> Self:
        """The trace whose ``traceparent`` was kept. Raises ``ValueError`` for what can't have been one."""
        match = _STORED.fullmatch(traceparent)
        if match is None:
            raise ValueError(f"a stored job has no valid traceparent: {traceparent!r}")
        trace_id, span_id, flags = match.groups()
        return cls(trace_id=trace_id, span_id=span_id, sampled=flags == "01")

    @classmethod
    def new(cls, random_192_bits: int) -> Self:
        """A trace of its own, from 192 random bits."""
        digits = f"{random_192_bits:048x}"
        return cls(trace_id=_not_zero(digits[:32]), span_id=_not_zero(digits[32:]))

    def followed_by(self, span_id: str) -> Self:
        """The same trace, one span further."""
        return evolve(self, span_id=span_id)

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def new_traceparents(count: int, random_bits: int, takes: Callable[[str], bool] | None = None) -> list[str]:
    """Headers of so many traces, each of its own, from 192 random bits for each. ``takes`` tells which are sampled;
    without it, all.
    """
    digits = f"{random_bits:0{48 * count}x}"
    made = [
        f"00-{_not_zero(digits[start : start + 32])}-{_not_zero(digits[start + 32 : start + 48])}-01"
        for start in range(0, 48 * count, 48)
    ]
    return made if takes is None else [one if takes(trace_id_of(one)) else f"{one[:-1]}0" for one in made]


def trace_id_of(traceparent: str) -> str:
    """The trace of a header that ``TraceContext`` or ``new_traceparents`` wrote."""
    return traceparent[3:35]


def is_sampled(traceparent: str) -> bool:
    """Whether whoever began the trace wants its spans kept, by a header that these wrote."""
    return traceparent.endswith("1")


def _not_zero(digits: str) -> str:
    """The standard has no ids of zeros alone."""
    return digits if digits.strip("0") else f"{1:0{len(digits)}x}"
