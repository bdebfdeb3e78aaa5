"""Brings requests that submitted jobs to the store, for their spans: beside what they do, which never waits for it."""

import asyncio
from datetime import timedelta

from schedora.application.errors import StoreUnavailable
from schedora.application.log import Logger
from schedora.application.ports.clock import Clock
from schedora.application.ports.metrics import Counter, Metrics
from schedora.application.ports.request_spans import RequestSpans
from schedora.application.telemetry.request_span import ServedRequest

EVERY = timedelta(seconds=1)
BATCH_MAX = 500
WAITING_MAX = 20_000
"""What comes then is left out."""

log = Logger("schedora.api")


class RequestKeeper:
    """For one event loop. What can't be kept is counted, and lost."""

    def __init__(self, *, request_spans: RequestSpans, clock: Clock, metrics: Metrics) -> None:
        self._request_spans = request_spans
        self._clock = clock
        self._metrics = metrics
        self._waiting: list[ServedRequest] = []
        self._something = asyncio.Event()
        self._stopped = asyncio.Event()

    def __len__(self) -> int:
        """How many wait to be written."""
        return len(self._waiting)

    def note(self, served: ServedRequest) -> None:
        """It is to be written soon."""
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append(served)
            self._something.set()
        else:
            self._metrics.count(Counter.REQUEST_SPANS_DROPPED)

    async def flush(self) -> None:
        """Writes what waits. A store that is away loses it: it is of no use to whoever looks at it later."""
        waiting, self._waiting = self._waiting, []
        self._something.clear()
        for start in range(0, len(waiting), BATCH_MAX):
            batch = waiting[start : start + BATCH_MAX]
            try:
                await self._request_spans.keep(batch)
            except asyncio.CancelledError:
                self._waiting[:0] = waiting[start:]
                raise
            except StoreUnavailable as error:
                log.debug("spans of requests lost", reason=str(error), spans=len(waiting) - start)
            except Exception:
                log.exception("spans of requests lost", spans=len(waiting) - start)  # a defect: others go on
            else:
                continue
            self._metrics.count(Counter.REQUEST_SPANS_DROPPED, amount=len(waiting) - start)
            return

    async def run(self) -> None:
        """Until ``stop``, and once more then. Wakes for nothing while there is nothing."""
        while not self._stopped.is_set():
            await self._something.wait()
            await self._clock.wait(self._stopped, EVERY)
            await self.flush()

    def stop(self) -> None:
        self._stopped.set()
        self._something.set()

    def give_up(self) -> None:
        """For the end, when nobody writes any more: what waits still is lost, which is said and counted."""
        lost, self._waiting = len(self._waiting), []
        if lost:
            log.error("the store did not take the spans of the last requests: lost", spans=lost)
            self._metrics.count(Counter.REQUEST_SPANS_DROPPED, amount=lost)
