"""Of what repeats itself, only so much is told: then how often it came."""

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from attrs import define, field, frozen

TOLD_MAX: Final = 20
"""So many of a kind are told in a span."""
SPAN_SECONDS: Final = 10.0
KINDS_MAX: Final = 1_000
"""Kinds that are counted at once; with more, the oldest are told and forgotten early."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@frozen
class Repeated(Generic[V]):
    """So many of a kind were held back; ``last`` is the last of them."""

    last: V
    count: int


@define
class _Span(Generic[V]):
    ends_at: float
    told: int = 1
    held: int = 0
    last: V | None = None


@define
class Repetition(Generic[K, V]):
    """Counts by kind, in spans that begin with the first of a kind. Not thread-safe; instants are in seconds."""

    told_max: int = TOLD_MAX
    span_seconds: float = SPAN_SECONDS
    kinds_max: int = KINDS_MAX
    _spans: dict[K, _Span[V]] = field(factory=dict, init=False)
    """Oldest first."""
    _over: list[Repeated[V]] = field(factory=list, init=False)

    def admits(self, kind: K, value: V, now: float) -> bool:
        """Whether this one is to be told; else it is counted."""
        span = self._spans.get(kind)
        if span is None or now >= span.ends_at:
            self._begin(kind, now)
            return True
        if span.told < self.told_max:
            span.told += 1
            return True
        span.held += 1
        span.last = value
        return False

    def take_over(self, now: float | None = None) -> list[Repeated[V]]:
        """What was held back in spans that are over; in all of them where no time is given."""
        for kind in [kind for kind, span in self._spans.items() if now is None or now >= span.ends_at]:
            self._end(kind)
        over, self._over = self._over, []
        return over

    def holds_until(self) -> float | None:
        """When the first span is over in which something was held back; None where there is none."""
        return min((span.ends_at for span in self._spans.values() if span.held), default=None)

    def _begin(self, kind: K, now: float) -> None:
        self._end(kind)
        while len(self._spans) >= self.kinds_max:
            self._end(next(iter(self._spans)))
        self._spans[kind] = _Span(now + self.span_seconds)

    def _end(self, kind: K) -> None:
        span = self._spans.pop(kind, None)
        if span is not None and span.last is not None:
            self._over.append(Repeated(span.last, span.held))
