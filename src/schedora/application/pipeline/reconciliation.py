"""What a worker and the store must agree on before the next batch: that the worker is registered, which transactions of
handlers have committed, and which leases the worker holds.
"""

import asyncio

from schedora.application.log import Logger
from schedora.application.pipeline.arrivals import Arrivals
from schedora.application.pipeline.handler_pool import HandlerPool
from schedora.application.pipeline.lease_check import LeaseCheck
from schedora.application.pipeline.poll_scheduler import PollScheduler
from schedora.application.pipeline.registration import Registration
from schedora.application.pipeline.settlement import Settlement
from schedora.application.pipeline.store_sync import StoreSync

log = Logger("schedora.worker")


class Reconciliation:
    """Runs as a task, for a store that hangs must not keep handlers running past their time. Sets ``changed`` when it
    has ended.
    """

    def __init__(
        self,
        *,
        registration: Registration,
        settlement: Settlement,
        lease_check: LeaseCheck,
        pool: HandlerPool,
        poll_scheduler: PollScheduler,
        arrivals: Arrivals,
        store_sync: StoreSync,
        changed: asyncio.Event,
    ) -> None:
        self._registration = registration
        self._settlement = settlement
        self._lease_check = lease_check
        self._pool = pool
        self._poll_scheduler = poll_scheduler
        self._arrivals = arrivals
        self._store_sync = store_sync
        self._changed = changed
        self._task: asyncio.Task[bool] | None = None

    @property
    def under_way(self) -> bool:
        """Whether the store has not answered: no batch may start meanwhile."""
        return self._task is not None

    def start(self) -> None:
        """Starts if there is a need and none is under way."""
        if self._task is not None:
            return
        if self._registration.needed or self._settlement.in_doubt or self._lease_check.due:
            self._task = asyncio.get_running_loop().create_task(self._reconcile())
            self._task.add_done_callback(lambda _: self._changed.set())

    def finish(self) -> bool | None:
        """Takes note of one that has ended. Returns whether it has resolved a doubt; None if none has ended. Raises
        ``StoreUnavailable``.
        """
        task = self._task
        if task is None or not task.done():
            return None
        self._task = None
        return task.result()

    async def abandon(self) -> None:
        """Ends one that is under way."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])

    async def _reconcile(self) -> bool:
        if self._registration.needed:
            await self._store_sync.ended()
            await self._join()
        resolved = await self._settlement.resolve_doubt()
        await self._check()
        return resolved

    async def _join(self) -> None:
        """Registers a new incarnation; what an earlier one held is lost."""
        if self._registration.incarnation is not None:
            log.warning("declared lost: registering again", worker_id=self._registration.identity.worker_id)
        self._pool.lose(self._pool.held())
        await self._registration.register()
        self._poll_scheduler.hint()

    async def _check(self) -> None:
        if self._registration.incarnation is None or not self._lease_check.due:
            return
        self._lease_check.begin()
        await self._store_sync.ended()
        if unknown := await self._lease_check.unknown(self._registration.incarnation):
            self._arrivals.found(unknown)
