"""How much of its time a process may spend on statements that notify as they commit: such commits wait for each other in the
whole server, and the slower they are, the fewer there should be.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf


class DutyCycleLimiter:
    """After each such statement, others go without for ``rest`` times as long as it took."""

    def __init__(self, monotonic_seconds: Callable[[], float], *, rest: int) -> None:
        self._monotonic_seconds = monotonic_seconds
        self._rest = rest
        self._next_at = 0.0

    @property
    def due(self) -> bool:
        """Whether there may be one now."""
        return self._monotonic_seconds() >= self._next_at

    @contextmanager
    def spent(self) -> Iterator[None]:
        """Encloses one such statement: there is one at a time."""
        began = self._monotonic_seconds()
        self._next_at = inf
        try:
            yield
        finally:
            ended = self._monotonic_seconds()
            self._next_at = ended + self._rest * (ended - began)

    def rest(self, seconds: float) -> None:
        """For so long from now there should be none, whatever the last one took."""
        self._next_at = max(self._next_at, self._monotonic_seconds() + seconds)
