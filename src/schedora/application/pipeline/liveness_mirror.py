"""What a worker shows of itself beside the store: that it lives, and which jobs it runs.

Kept on the thread of the heartbeat, so that a handler that blocks the worker's loop keeps its lock. A sign of life
follows each one that the store took, so that both grow old together when the worker dies; while the store does not
answer it goes on by itself.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

from schedora.application.log import Logger
from schedora.application.pipeline.heartbeat import RETRY_AFTER
from schedora.application.pipeline.run_locks import RELEASED_MAX, Handover
from schedora.application.ports.clock import Clock
from schedora.application.ports.heartbeats import Heartbeats
from schedora.application.ports.metrics import Counter, Metrics
from schedora.application.ports.run_locks import Contested, RunLock, RunLocks
from schedora.domain.ids import IncarnationId, LeaseId, WorkerId
from schedora.domain.worker import LIVE, WorkerState

log = Logger("schedora.heartbeat")

PATIENCE = 1.25
"""So many intervals after the last one the next sign is due though the store has taken none."""


class LivenessMirror:
    """``on_contested`` is called with the leases of locks that another lease was found to hold."""

    def __init__(
        self,
        *,
        worker_id: WorkerId,
        heartbeats: Heartbeats,
        run_locks: RunLocks,
        handover: Handover,
        clock: Clock,
        metrics: Metrics,
        interval: timedelta,
        on_contested: Callable[[Collection[LeaseId]], None],
    ) -> None:
        self._worker_id = worker_id
        self._heartbeats = heartbeats
        self._run_locks = run_locks
        self._handover = handover
        self._clock = clock
        self._metrics = metrics
        self._interval = interval
        self._on_contested = on_contested
        self._incarnation: IncarnationId | None = None
        self._forgotten: list[IncarnationId] = []
        self._held: dict[LeaseId, RunLock] = {}
        self._unreleased: dict[LeaseId, RunLock] = {}
        """Those whose release may not have been heard."""
        self._beat_at = clock.monotonic()
        self._due = asyncio.Event()
        self._stopped = False

    def heard(self, incarnation: IncarnationId, status: WorkerState | None) -> None:
        """The store has taken a sign of life, and this is what it answered."""
        known, self._incarnation = self._incarnation, incarnation if status in LIVE else None
        if known is not None and known != self._incarnation:
            self._forgotten.append(known)
        self._beat_at = self._clock.monotonic()
        self._due.set()

    def wake(self) -> None:
        """Something was handed over."""
        self._due.set()

    def stop(self) -> None:
        self._stopped = True
        self._due.set()

    async def run(self) -> None:
        """Until stopped; then nothing is shown any more."""
        while not self._stopped:
            self._due.clear()
            await self._forget()
            await self._change()
            if self._incarnation is not None and self._clock.monotonic() >= self._beat_at:
                await self._beat(self._incarnation)
            pause = None if self._incarnation is None else self._beat_at - self._clock.monotonic()
            await self._clock.wait(self._due, pause)
        await self._leave()

    async def _change(self) -> None:
        """Takes and releases what was handed over."""
        taken, released = self._handover.draw()
        self._held.update({lock.lease_id: lock for lock in taken})
        if taken and self._incarnation is not None:  # else with its first sign of life
            self._tell(await self._run_locks.take(self._incarnation, taken))
        for lock in released:
            # Whose lock was found with another is not ours to release.
            if self._held.pop(lock.lease_id, None) is not None:
                self._unreleased[lock.lease_id] = lock
        if released:
            await self._release()

    async def _beat(self, incarnation: IncarnationId) -> None:
        noted = await self._heartbeats.beat(incarnation)
        if noted and self._held:
            for other in self._tell(await self._run_locks.renew(incarnation, list(self._held.values()))):
                self._held.pop(other.lock.lease_id, None)
        if noted and self._unreleased:
            await self._release()
        pause = self._interval * PATIENCE if noted else min(self._interval, RETRY_AFTER)
        self._beat_at = self._clock.monotonic() + pause

    async def _release(self) -> None:
        releasing = list(self._unreleased.values())
        contested = await self._run_locks.release(releasing)
        if contested is None:
            while len(self._unreleased) > RELEASED_MAX:
                del self._unreleased[next(iter(self._unreleased))]
            return
        for lock in releasing:
            del self._unreleased[lock.lease_id]
        self._tell(contested)

    def _tell(self, contested: Sequence[Contested] | None) -> Sequence[Contested]:
        if not contested:
            return ()
        for other in contested:
            log.warning(
                "run lock held by another lease; the store decides",
                job_id=str(other.lock.job_id),
                lease_id=_short(str(other.lock.lease_id)),
                holder=_short(other.holder),
                worker_id=self._worker_id,
            )
        self._metrics.count(Counter.RUN_LOCK_CONFLICTS, amount=len(contested))
        self._on_contested([other.lock.lease_id for other in contested])
        return contested

    async def _forget(self) -> None:
        while self._forgotten:
            await self._heartbeats.forget(self._forgotten.pop())

    async def _leave(self) -> None:
        if self._incarnation is not None:
            self._forgotten.append(self._incarnation)
        await self._forget()
        await self._change()
        self._unreleased.update(self._held)
        self._held.clear()
        if self._unreleased:
            await self._release()


def _short(lease_id: str) -> str:
    """Enough to tell leases apart, too little to act under one."""
    return lease_id[:8]
