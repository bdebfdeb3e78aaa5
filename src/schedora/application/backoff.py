"""Pauses between attempts to reach something that is away."""

from collections.abc import Callable
from datetime import timedelta


class Backoff:
    """Ever longer pauses while something is away, with jitter, so that all do not come back at once."""

    def __init__(self, unit: Callable[[], float], *, first: timedelta, longest: timedelta) -> None:
        self._unit = unit
        self._first = first
        self._longest = longest
        self._pause = first

    def next(self) -> timedelta:
        pause = self._pause * (0.5 + self._unit() / 2)
        self._pause = min(self._pause * 2, self._longest)
        return pause

    def reset(self) -> None:
        self._pause = self._first
