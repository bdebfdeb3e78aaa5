"""A line now and then for whoever waits."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

EACH_SECONDS = 10.0


class Progress:
    def __init__(self, of: str) -> None:
        self._of = of
        self._began = self._told = time.monotonic()

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._told >= EACH_SECONDS

    def over(self, each: Iterable[T], tell: Callable[[int], str]) -> Iterator[T]:
        """Of how many there were, at times and at the end."""
        count = 0
        for count, one in enumerate(each, 1):
            yield one
            if self.is_due:
                self._tell(tell(count))
        self._tell(tell(count))

    def _tell(self, what: str) -> None:
        self._told = time.monotonic()
        print(f"{self._of}: {what}, {self._told - self._began:.0f} s", file=sys.stderr, flush=True)
