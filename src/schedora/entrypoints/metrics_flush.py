"""Brings this process's counts to the store, every second and at the end."""

import asyncio

from schedora.entrypoints.system import System


class MetricsFlush:
    name = "metrics"

    def __init__(self, system: System) -> None:
        self._system = system
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        await self._system.keep_flushing(self._stopped)

    def stop(self) -> None:
        self._stopped.set()
