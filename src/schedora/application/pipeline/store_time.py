"""The store's clock, read on this machine.

Instants that are written down must agree with those that the store makes itself, and clocks of machines
differ. Each batch brings the store's time; between batches this machine only measures spans.
"""

from datetime import datetime, timedelta

from schedora.application.ports.clock import Clock


class StoreTime:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._read_at = clock.monotonic()
        self._store_at = clock.now()
        self._heard = False

    def learn(self, store_now: datetime, *, asked_at: timedelta | None = None) -> None:
        """Notes what the store's clock says at this moment; or said at some moment since it was asked, on the monotonic clock.

        The store may have answered another question meanwhile, and this answer is older: it was long on its way, or waited for a
        lock. Time does not go back for that.
        """
        now = self._clock.monotonic()
        known = self.at(now)
        late_by_at_most = timedelta(0) if asked_at is None else now - asked_at
        if not self._heard or not store_now <= known <= store_now + late_by_at_most:
            self._heard = True
            self._read_at = now
            self._store_at = store_now

    def reached(self, moment: datetime) -> None:
        """Notes that it says this moment by now, or a later one: what it told last took a while to come here."""
        if self.now() < moment:
            self.learn(moment)

    def now(self) -> datetime:
        return self.at(self._clock.monotonic())

    def at(self, moment: timedelta) -> datetime:
        """What it said, or will say, at a moment of the monotonic clock."""
        return self._store_at + (moment - self._read_at)
