"""When to look for jobs: at once after a hint, when one falls due, and now and then in any case."""

from datetime import timedelta

from schedora.application.backoff import Backoff
from schedora.application.ports.clock import Clock
from schedora.application.ports.randomness import Randomness


class Lookout:
    """``interval`` says how long to rest after a look that found nothing more. Moments are on the monotonic
    clock.
    """

    def __init__(self, *, clock: Clock, randomness: Randomness) -> None:
        self._clock = clock
        self._randomness = randomness
        self._contention = Backoff(
            randomness.unit, first=timedelta(milliseconds=5), longest=timedelta(milliseconds=250)
        )
        self._hinted = True
        self._prompted = True
        """Whether the look that is due, or under way, has a better reason than the interval."""
        self.next_at = clock.monotonic()
        """When to look again, unless a hint comes before."""

    @property
    def due(self) -> bool:
        return self._hinted or self._clock.monotonic() >= self.next_at

    def hint(self) -> None:
        """There may be jobs now."""
        self._hinted = True

    def due_at(self, moment: timedelta) -> None:
        """There will be one at this moment."""
        if moment < self.next_at:
            self.next_at = moment
            self._prompted = True

    def looking(self) -> None:
        """A look is under way. A hint from now on may tell of what it does not see: it asks for another one."""
        self._prompted = self._prompted or self._hinted
        self._hinted = False

    def looked(
        self, *, interval: timedelta, found: int, more_likely: bool, next_due_in: timedelta | None
    ) -> bool:
        """What came of it; answers whether jobs were found that no hint told of."""
        unprompted = found > 0 and not (self._prompted or self._hinted)
        self._prompted = False
        self._hinted = self._hinted or more_likely
        now = self._clock.monotonic()
        # Spread, so that workers that started together do not look together for ever.
        self.next_at = now + interval * (0.8 + 0.4 * self._randomness.unit())
        if found:
            self._contention.reset()
        if next_due_in is not None and not more_likely:
            # Due and not found: others were claiming it, or hold it for a moment.
            self.due_at(now + (next_due_in if next_due_in > timedelta(0) else self._contention.next()))
        return unprompted
