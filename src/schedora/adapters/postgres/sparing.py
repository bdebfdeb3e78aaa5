"""How much of its time a process may spend on statements that notify as they commit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SHARE = 10
"""One part in so many: such commits wait for each other in the whole server, and the slower they are, the fewer."""


class Sparing:
    def __init__(self, monotonic_seconds: Callable[[], float]) -> None:
        self._monotonic_seconds = monotonic_seconds
        self._next_at = 0.0

    @property
    def due(self) -> bool:
        """Whether there may be one now."""
        return self._monotonic_seconds() >= self._next_at

    @contextmanager
    def spent(self) -> Iterator[None]:
        """Encloses one such statement."""
        began = self._monotonic_seconds()
        try:
            yield
        finally:
            ended = self._monotonic_seconds()
            self._next_at = ended + _SHARE * (ended - began)
