"""When to look for jobs: at once after a hint, when one falls due, and now and then in any case.

While hints are known to arrive, looks that nothing prompted come ever more rarely: their part is to find what no hint
told of. Once they have found such a job they come often again.

What many are told of at one moment one of them will find. So whoever looked in vain for such a thing lets the others
go first the next time, ever longer; and comes first himself as soon as he has found something. What he finds after he let
others go first, one of them would have found a moment later: that makes him wait less, and no more.
"""

from datetime import timedelta

from attrs import frozen

from schedora.application.backoff import Backoff
from schedora.application.ports.clock import Clock
from schedora.application.ports.randomness import Randomness

NONE = timedelta(0)


@frozen(kw_only=True)
class PollPolicy:
    """How long to rest after a look that found nothing more."""

    poll: timedelta = timedelta(seconds=2)
    """While hints are known to arrive; at first, and twice as long after each look in vain."""
    poll_longest: timedelta = timedelta(seconds=10)
    poll_alone: timedelta = timedelta(seconds=0.5)
    """While they are not."""
    hold_back: timedelta = timedelta(milliseconds=2)
    """How long, at most, to let others go first after a look in vain; twice as long after each further one."""
    hold_back_longest: timedelta = timedelta(seconds=0.5)
    """No longer than a poll without hints would take."""
    hold_back_due: timedelta = timedelta(milliseconds=50)
    """How long, at most, others go first where a moment was known before."""


@frozen(kw_only=True)
class _Look:
    prompted: bool = False
    """Whether it has a better reason than the interval."""
    shared: bool = False
    """Whether others have the same reason."""
    put_off: bool = False
    """Whether others could go first."""


class PollScheduler:
    """Moments are on the monotonic clock."""

    def __init__(
        self, *, clock: Clock, randomness: Randomness, poll_policy: PollPolicy | None = None
    ) -> None:
        self._clock = clock
        self._randomness = randomness
        self._poll_policy = poll_policy or PollPolicy()
        self._contention = Backoff(
            randomness.unit, first=timedelta(milliseconds=5), longest=timedelta(milliseconds=250)
        )
        self._rest = self._poll_policy.poll
        self._hold_back = NONE
        self._hinted = False
        self._prompted = True
        """Whether the look that is due has a better reason than the interval."""
        self._alone = False
        """Whether nobody else was told of what there is to look for."""
        self._shared = False
        """Whether others have the same reason for it."""
        self._others_until: timedelta | None = None
        """Until when others may go first, where they may."""
        self._under_way = _Look()
        self.next_at = clock.monotonic()
        """When to look again, unless a hint comes before."""
        self.expected_at: timedelta | None = None
        """When a job falls due, as far as known."""

    @property
    def due(self) -> bool:
        return self._hinted or self._clock.monotonic() >= self.next_at

    def hint(self) -> None:
        """There may be jobs now."""
        self._hinted = True

    def told(self, *, later: bool, shared: bool) -> bool:
        """A hint said that there may be jobs, now or later: to others as well, or to nobody else. Answers whether that
        changes when to look.
        """
        self._prompted = True
        if not shared:
            self._alone = self._hinted = True
            return True
        self._shared = self._shared or not later  # what is due later it does not find, whoever else looks
        if not self._hold_back:
            self._hinted = True
            return True
        if self._others_until is not None:
            return False
        self._others_until = self._clock.monotonic() + self._hold_back * self._randomness.unit()
        self._look_at(self._others_until)
        return True

    def due_at(self, moment: timedelta) -> None:
        """There will be one at this moment."""
        if self.expected_at is None or moment < self.expected_at:
            self.expected_at = moment
        if moment < self.next_at:
            self._look_at(moment)
            self._prompted = True

    def unable(self) -> bool:
        """Nothing can be taken now. Answers, once, whether somebody else should look in this worker's place."""
        self._prompted = True  # what it finds afterwards may have waited for it, and not for a hint
        expected = self._expected_by_now
        if expected:
            self.expected_at = None
        instead = self._alone or expected
        self._alone = False
        return instead

    def looking(self) -> None:
        """A look is under way. A hint from now on may tell of what it does not see: it asks for another one."""
        self._under_way = _Look(
            prompted=self._prompted or self._hinted,
            shared=self._shared or self._expected_by_now,
            put_off=self._others_until is not None and not self._hinted,
        )
        self._hinted = self._prompted = self._alone = self._shared = False
        self.expected_at = self._others_until = None

    def looked(
        self,
        *,
        hints_arrive: bool,
        found: int,
        overdue: int,
        more_likely: bool,
        next_due_in: timedelta | None,
    ) -> int:
        """What came of it; ``overdue`` of what was found is due for so long that a hint should have told of it. Answers
        how many jobs no hint told of though hints are said to arrive.
        """
        look = self._under_way
        prompted = look.prompted or self._prompted or self._hinted
        missed = 0 if prompted or not hints_arrive else overdue
        if found:
            self._contention.reset()
            shorter = self._hold_back / 4 if look.put_off else NONE
            self._hold_back = shorter if shorter >= self._poll_policy.hold_back else NONE
        elif look.shared:
            longer = max(self._hold_back * 2, self._poll_policy.hold_back)
            self._hold_back = min(longer, self._poll_policy.hold_back_longest)
        self._hinted = self._hinted or more_likely
        now = self._clock.monotonic()
        # Spread, so that workers that started together do not look together for ever.
        spread = 0.8 + 0.4 * self._randomness.unit()
        self.next_at = now + spread * self._interval(hints_arrive=hints_arrive, missed=missed)
        for moment in (self.expected_at, self._others_until):
            if moment is not None:  # told of while the look was under way
                self._look_at(moment)
                self._prompted = True
        if next_due_in is not None and not more_likely:
            self._expect(now, next_due_in)
        return missed

    @property
    def _expected_by_now(self) -> bool:
        return self.expected_at is not None and self._clock.monotonic() >= self.expected_at

    def _interval(self, *, hints_arrive: bool, missed: int) -> timedelta:
        if not hints_arrive:
            self._rest = self._poll_policy.poll
            return self._poll_policy.poll_alone
        if missed:
            self._rest = self._poll_policy.poll
        interval = self._rest
        self._rest = min(interval * 2, self._poll_policy.poll_longest)
        return interval

    def _expect(self, now: timedelta, due_in: timedelta) -> None:
        if due_in > NONE:
            others_first = min(self._hold_back, self._poll_policy.hold_back_due)
            self.due_at(now + due_in + others_first * self._randomness.unit())
        else:
            # Due and not found: others were claiming it, or hold it for a moment.
            self._look_at(now + self._contention.next())
            self._prompted = True

    def _look_at(self, moment: timedelta) -> None:
        self.next_at = min(self.next_at, moment)
