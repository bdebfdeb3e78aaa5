"""How long the event loop lets a timer wait: what everything else on it waits for as well."""

import asyncio
import time
from collections import deque

TICK_SECONDS = 0.25
WINDOW_SECONDS = 15.0
"""Longer than from one report to the next: no lag falls between two."""


class LoopLag:
    """Of the running loop. Costs a few microseconds a tick."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lags: deque[tuple[float, float]] = deque(maxlen=int(WINDOW_SECONDS / TICK_SECONDS))
        self._due_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._due_at = time.monotonic() + TICK_SECONDS
        self._timer = self._loop.call_later(TICK_SECONDS, self._tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def longest_seconds(self) -> float:
        """Of the last while; of a tick that is overdue, too."""
        now = time.monotonic()
        recent = (lag for at, lag in self._lags if now - at <= WINDOW_SECONDS)
        return max(0.0, now - self._due_at if self._timer is not None else 0.0, *recent)

    def _tick(self) -> None:
        now = time.monotonic()
        self._lags.append((now, max(0.0, now - self._due_at)))
        self.start()
