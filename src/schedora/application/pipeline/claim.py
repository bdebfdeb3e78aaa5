"""How many jobs to ask for.

Claiming ahead of free slots lets short jobs run without waiting for the store, and makes long ones wait
behind a busy worker while another idles. So the buffer is measured in time: as many jobs as the slots will
likely finish within ``HORIZON``, going by how long jobs took lately; none until that is known.
"""

from collections.abc import Iterable
from datetime import timedelta

HORIZON = timedelta(milliseconds=50)
BUFFER_MAX = 2_000
BUFFER_AGE_MAX = timedelta(seconds=1)
"""A job that has waited in the buffer for longer is released: another worker may have room."""

_WEIGHT_OF_NEW = 0.2
_SHORTEST_SECONDS = 20e-6


class PrefetchSizer:
    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._typical_seconds: float | None = None

    def learn(self, durations: Iterable[timedelta]) -> None:
        """Notes how long runs took. A long one counts at once, short ones by and by."""
        typical = self._typical_seconds
        for duration in durations:
            seconds = duration.total_seconds()
            if typical is None or seconds > typical:
                typical = seconds
            else:
                typical += (seconds - typical) * _WEIGHT_OF_NEW
        self._typical_seconds = typical

    @property
    def buffer_target(self) -> int:
        """How many jobs beyond the slots are worth holding."""
        if self._typical_seconds is None:
            return 0
        horizons = HORIZON.total_seconds() / max(self._typical_seconds, _SHORTEST_SECONDS)
        return min(BUFFER_MAX, int(self._slots * horizons))

    def want(self, *, free_slots: int, buffered: int) -> int:
        """How many jobs to claim now; 0 while enough is at hand."""
        target = self.buffer_target
        if buffered > target // 2:
            return 0
        return max(0, free_slots + target - buffered)
