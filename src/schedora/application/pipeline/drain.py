"""How a worker comes to its end: it takes nothing new, finishes what runs, and stops what does not finish in time."""

from datetime import timedelta

from schedora.application.pipeline.slots import GRACE
from schedora.application.ports.clock import Clock


class Drain:
    """The drain of one worker's process. Once it has begun it is never undone."""

    def __init__(self, *, clock: Clock, timeout: timedelta) -> None:
        self._clock = clock
        self._timeout = timeout
        self._deadline: timedelta | None = None
        self.waited_for = False
        """Whether somebody waits for the end of the process."""

    @property
    def begun(self) -> bool:
        return self._deadline is not None

    def begin(self) -> None:
        """What runs has the shutdown timeout from now on."""
        self._deadline = self._clock.monotonic() + self._timeout

    @property
    def timed_out(self) -> bool:
        """Whether what still runs is to be stopped."""
        return self._deadline is not None and self._clock.monotonic() >= self._deadline

    @property
    def gives_up(self) -> bool:
        """Whether the process ends with outcomes that the store has not taken: a reaper rescues those jobs."""
        if self._deadline is None or not self.waited_for:
            return False
        return self._clock.monotonic() >= self._deadline + GRACE * 2

    @property
    def next_at(self) -> timedelta | None:
        """When to look again, on the monotonic clock."""
        if self._deadline is None:
            return None
        now = self._clock.monotonic()
        return self._deadline if now < self._deadline else now + GRACE
