"""The store's clock, read on this machine.

Instants that are written down must agree with those that the store makes itself, and clocks of machines
differ. Each exchange brings the store's time; between exchanges this machine only measures spans.
"""

from datetime import datetime, timedelta

from schedora.application.ports.clock import Clock


class StoreTime:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._read_at = clock.monotonic()
        self._store_at = clock.now()

    def learn(self, store_now: datetime) -> None:
        """Notes what the store's clock says at this moment."""
        self._read_at = self._clock.monotonic()
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
