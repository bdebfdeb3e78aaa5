"""Hands the tally of a process over to the totals that all processes share."""

import asyncio
from collections import Counter
from datetime import timedelta

from schedora.adapters.telemetry.label_bounds import LabelBounds
from schedora.adapters.telemetry.tally import Tally
from schedora.application.errors import StoreUnavailable
from schedora.application.log import Logger
from schedora.application.ports.clock import Clock
from schedora.application.ports.totals import Totals

EVERY = timedelta(seconds=1)

log = Logger("schedora.metrics")


class Flusher:
    """Nothing that was counted is lost while the process lives; what the store can't take now it gets later."""

    def __init__(self, tally: Tally, totals: Totals, clock: Clock, *, label_values_max: int) -> None:
        self._tally = tally
        self._totals = totals
        self._clock = clock
        self._bounds = LabelBounds(totals, values_max=label_values_max)

    async def flush(self) -> None:
        """Raises ``StoreUnavailable``; then the tally has everything still."""
        drained = self._tally.drain()
        if not drained:
            return
        try:
            await self._totals.add(await self._bounds.bounded(drained))
        except BaseException:
            # Also when canceled in the middle: counting a second twice is better than losing it.
            self._tally.give_back(drained)
            raise

    async def run(self, stop: asyncio.Event) -> None:
        """Flushes every second until ``stop`` is set, and once more then."""
        stopped = False
        while not stopped:
            stopped = await self._clock.wait(stop, EVERY)
            try:
                await self.flush()
            except StoreUnavailable as error:
                log.debug("metrics kept for later", reason=str(error))

    def give_up(self) -> None:
        """For the end, when nobody hands over any more: what the tally has still is lost, which is said."""
        lost = self._tally.drain()
        if lost:
            counts: Counter[str] = Counter()
            for series, amount in lost.items():
                if not series.name.endswith(("_bucket", "_sum")):
                    counts[series.name] += int(amount)
            log.error("the store did not take the last counts: lost", counts=dict(counts))
