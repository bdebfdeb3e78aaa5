"""How many jobs a second a worker takes, of late.

Counted by the batch, and read by whoever wants to know, every few seconds or more often: what was read before is what
the next reading is compared with.
"""

from collections import deque
from datetime import timedelta

from schedora.application.ports.clock import Clock

SPAN = timedelta(seconds=10)
"""Over so long, and until the reading before that, where readings are rare."""

SPACING = timedelta(seconds=1)
"""Readings that come sooner after another are not remembered, and nothing is said of a shorter time."""


class ClaimRate:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._taken = 0
        self._readings = deque([(clock.monotonic(), 0)])
        """When, and how many had been taken by then; oldest first."""

    def count(self, jobs: int) -> None:
        self._taken += jobs

    def per_second(self) -> float | None:
        """None while it is too early to say."""
        now = self._clock.monotonic()
        while len(self._readings) > 1 and now - self._readings[1][0] >= SPAN:
            self._readings.popleft()
        since, taken = self._readings[0]
        if now - self._readings[-1][0] >= SPACING:
            self._readings.append((now, self._taken))
        span = now - since
        return None if span < SPACING else (self._taken - taken) / span.total_seconds()
