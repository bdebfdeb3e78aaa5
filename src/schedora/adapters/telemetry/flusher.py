"""Adds the local counters of a process to the counters that all processes share."""

import asyncio
from collections import Counter
from datetime import timedelta

from schedora.adapters.telemetry.label_limit import LabelLimit
from schedora.adapters.telemetry.local_counters import LocalCounters
from schedora.application.errors import StoreUnavailable
from schedora.application.log import Logger
from schedora.application.ports.clock import Clock
from schedora.application.ports.shared_counters import SharedCounters

EVERY = timedelta(seconds=1)

log = Logger("schedora.metrics")


class Flusher:
    """Nothing that was counted is lost while the process lives; what the store can't take now it gets later."""

    def __init__(
        self,
        local_counters: LocalCounters,
        shared_counters: SharedCounters,
        clock: Clock,
        *,
        label_values_max: int,
    ) -> None:
        self._local_counters = local_counters
        self._shared_counters = shared_counters
        self._clock = clock
        self._bounds = LabelLimit(shared_counters, values_max=label_values_max)

    async def flush(self) -> None:
        """Raises ``StoreUnavailable``; then the local counters keep everything."""
        drained = self._local_counters.drain()
        if not drained:
            return
        try:
            await self._shared_counters.add(await self._bounds.bounded(drained))
        except BaseException:
            # Also when canceled in the middle: counting a second twice is better than losing it.
            self._local_counters.give_back(drained)
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
        """For the end, when nobody hands over any more: what the local counters still hold is lost, and logged."""
        lost = self._local_counters.drain()
        if lost:
            counts: Counter[str] = Counter()
            for series, amount in lost.items():
                if not series.name.endswith(("_bucket", "_sum")):
                    counts[series.name] += int(amount)
            log.error("the store did not take the last counts: lost", counts=dict(counts))
