"""Brings this process's counts to the store, every second and at the end."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from schedora.application.errors import StoreUnavailable
from schedora.entrypoints.system import System

INTERVAL = timedelta(seconds=1)


class MetricsFlush:
    name = "metrics"

    def __init__(self, system: System) -> None:
        self._system = system
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        while not self._stopped.is_set():
            await self._system.clock.wait(self._stopped, INTERVAL)
            # What could not be brought is kept, and others tell of a store that is away.
            with suppress(StoreUnavailable):
                await self._system.flush_metrics()

    def stop(self) -> None:
        self._stopped.set()
