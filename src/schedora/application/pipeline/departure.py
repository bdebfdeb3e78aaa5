"""How a worker leaves the store: deregistered, with nothing under its lease, and as soon as it can."""

import asyncio
from datetime import timedelta

from schedora.application.errors import StoreUnavailable
from schedora.application.log import Logger
from schedora.application.pipeline.arrivals import Arrivals
from schedora.application.pipeline.lease_check import LeaseCheck
from schedora.application.pipeline.registration import Registration
from schedora.application.pipeline.settlement import Settlement
from schedora.application.pipeline.store_sync import StoreSync
from schedora.application.ports.clock import Clock

log = Logger("schedora.worker")

FAREWELL = timedelta(seconds=2)
"""How long a worker tries to deregister: a store that hangs is not waited for."""
UNWRITTEN_NAMED_MAX = 20
"""So many jobs are named whose outcomes were not written; the others are counted."""


class Departure:
    def __init__(
        self,
        *,
        registration: Registration,
        lease_check: LeaseCheck,
        arrivals: Arrivals,
        store_sync: StoreSync,
        settlement: Settlement,
        clock: Clock,
    ) -> None:
        self._registration = registration
        self._lease_check = lease_check
        self._arrivals = arrivals
        self._store_sync = store_sync
        self._settlement = settlement
        self._clock = clock

    async def leave(self) -> None:
        """Logs what could not be done; raises nothing of the store's."""
        if self._registration.incarnations:
            await self._deregister_in_time()
        self._log_unwritten()

    async def _deregister_in_time(self) -> None:
        leaving = asyncio.get_running_loop().create_task(self._deregister())
        left = asyncio.Event()
        leaving.add_done_callback(lambda _: left.set())
        try:
            await self._clock.wait(left, FAREWELL)
        finally:
            leaving.cancel()
            await asyncio.wait([leaving])
            await self._store_sync.abandon()
        error = "it did not answer in time"
        if not leaving.cancelled():
            try:
                leaving.result()
            except StoreUnavailable as unavailable:
                error = str(unavailable)
            else:
                return
        log.warning("deregistration failed; the reaper will rescue its leases", error=error)

    async def _deregister(self) -> None:
        await self._registration.deregister()
        if self._registration.incarnation is None:
            return
        # What was leased to this worker while it left, and never reached it.
        self._arrivals.found(await self._lease_check.never_started(self._registration.incarnation))
        self._store_sync.start()
        await self._store_sync.ended()

    def _log_unwritten(self) -> None:
        """Names what ended here, and the store does not know."""
        unwritten = sorted(map(str, self._settlement.job_ids()))
        if unwritten:
            log.error(
                "outcomes were not written: a reaper gives these jobs back, and they run again",
                worker_id=self._registration.identity.worker_id,
                jobs=len(unwritten),
                job_ids=unwritten[:UNWRITTEN_NAMED_MAX],
            )
