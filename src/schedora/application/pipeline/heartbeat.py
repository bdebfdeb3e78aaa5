"""Signs of life, sent from a thread of their own: a handler that blocks the event loop does not make its
worker look dead.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from attrs import frozen

from schedora.application.errors import StoreUnavailable
from schedora.application.log import Logger
from schedora.application.ports.clock import Clock
from schedora.application.ports.workers import Workers
from schedora.domain.ids import IncarnationId
from schedora.domain.worker import WorkerState

log = Logger("schedora.heartbeat")

RETRY_AFTER = timedelta(seconds=1)
"""At most; half of it at least: those who lost the store at one moment do not come back at one."""


@frozen(kw_only=True)
class Vitals:
    cpu_percent: float
    memory_percent: float


class Heartbeat:
    """Beats for one incarnation until stopped, and passes on what the store answers."""

    def __init__(
        self,
        *,
        workers: Workers,
        clock: Clock,
        interval: timedelta,
        vitals: Callable[[], Vitals],
        stuck_threads: Callable[[], int] = lambda: 0,
        on_status: Callable[[IncarnationId, WorkerState | None], None],
        unit_random: Callable[[], float],
    ) -> None:
        self._workers = workers
        self._clock = clock
        self._interval = interval
        self._vitals = vitals
        self._stuck_threads = stuck_threads
        self._on_status = on_status
        self._unit_random = unit_random
        self._incarnation: IncarnationId | None = None
        self._asked = asyncio.Event()
        self._stopped = False

    def beat_for(self, incarnation: IncarnationId) -> None:
        """Beats for this incarnation from now on, at once first."""
        self._incarnation = incarnation
        self._asked.set()

    def ask(self) -> None:
        """Beats now instead of at the next turn, to learn the status."""
        self._asked.set()

    def stop(self) -> None:
        self._stopped = True
        self._asked.set()

    async def run(self) -> None:
        reachable = True
        while not self._stopped:
            self._asked.clear()
            pause = self._interval
            if self._incarnation is not None:
                try:
                    await self._beat(self._incarnation)
                    if not reachable:
                        log.info("heartbeats reach the store again")
                    reachable = True
                except StoreUnavailable as error:
                    if reachable:
                        log.warning("heartbeats do not reach the store", error=str(error))
                    reachable = False
                    pause = min(self._interval, RETRY_AFTER * (0.5 + self._unit_random() / 2))
            await self._clock.wait(self._asked, pause)

    async def _beat(self, incarnation: IncarnationId) -> None:
        vitals = self._vitals()
        status = await self._workers.beat(
            incarnation,
            cpu_percent=vitals.cpu_percent,
            memory_percent=vitals.memory_percent,
            stuck_threads=self._stuck_threads(),
        )
        if not self._stopped:
            self._on_status(incarnation, status)
