"""Brings this process's counts to the store, every second and at the end, and tells how its gauges stand meanwhile."""

import asyncio

from schedora.adapters.system.loop_lag import LoopLag
from schedora.application.ports.metrics import Gauge
from schedora.entrypoints.system import System

GRACE_SECONDS = 3.0
"""How long the last that is told may take: a store that hangs is not waited for."""


class MetricsFlush:
    name = "metrics"

    def __init__(self, system: System) -> None:
        self._system = system
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        lag = LoopLag()
        self._system.gauges.register(Gauge.EVENT_LOOP_LAG, lag.longest_seconds)
        lag.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                telling = [
                    tasks.create_task(self._system.keep_reporting(self._stopped)),
                    tasks.create_task(self._system.keep_flushing(self._stopped)),
                ]
                await self._stopped.wait()
                await asyncio.wait(telling, timeout=GRACE_SECONDS)
                for task in telling:
                    task.cancel()
            self._system.give_up_metrics()
        finally:
            lag.stop()

    def stop(self) -> None:
        self._stopped.set()
