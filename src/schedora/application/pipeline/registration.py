"""A worker's place in the store: under which incarnation it is registered, and what the store takes it for."""

from datetime import timedelta
from typing import Protocol

from schedora.application.log import Logger
from schedora.application.pipeline.store_time import StoreTime
from schedora.application.ports.clock import Clock
from schedora.application.ports.randomness import Randomness
from schedora.application.ports.workers import Workers
from schedora.domain.ids import IncarnationId
from schedora.domain.worker import WorkerIdentity, WorkerState

log = Logger("schedora.worker")


class HeartbeatControl(Protocol):
    """The heartbeat, seen from the worker's loop."""

    def beat_for(self, incarnation: IncarnationId) -> None:
        """From now on, at once first."""
        ...

    def ask(self) -> None:
        """Beats soon, for the sake of the answer."""
        ...


class Registration:
    """Registers one worker, again under a new incarnation whenever the store has given up the last one."""

    def __init__(
        self,
        *,
        identity: WorkerIdentity,
        workers: Workers,
        heartbeat: HeartbeatControl,
        store_time: StoreTime,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self.identity = identity
        self._workers = workers
        self._store_time = store_time
        self._heartbeat = heartbeat
        self._clock = clock
        self._randomness = randomness
        self.incarnation: IncarnationId | None = None
        self._joining: IncarnationId | None = None
        """One that the store was asked to register: it may have done so without this worker's knowledge."""
        self.status: WorkerState | None = None
        self._heard_at = clock.monotonic()
        """When the store took a sign of life last."""
        self.drained_by_request = False
        """Whether somebody asked the store to drain this worker: that holds for each incarnation to come."""

    @property
    def needed(self) -> bool:
        """Whether the worker has no incarnation that the store takes for alive."""
        return self.incarnation is None or self.status not in (WorkerState.ACTIVE, WorkerState.DRAINING)

    def silence(self) -> timedelta:
        """The time since the store took a sign of life."""
        return self._clock.monotonic() - self._heard_at

    def ask(self) -> None:
        """Has the store asked for the status soon: ``heard`` gets the answer."""
        self._heartbeat.ask()

    async def register(self) -> None:
        """Registers a new incarnation. Raises ``StoreUnavailable``; then the old one stays."""
        asked_at = self._clock.monotonic()
        self._joining = incarnation = IncarnationId(self._randomness.random_id())
        worker = await self._workers.register(self.identity, incarnation)
        self._store_time.learn(worker.last_heartbeat, asked_at=asked_at)
        status = worker.status
        if self.drained_by_request:  # this worker was meant, not only the incarnation of then
            status = WorkerState.DRAINING
            await self._workers.set_status([incarnation], status)
        self.incarnation, self._joining = incarnation, None
        self.status = status
        self._heard_at = self._clock.monotonic()
        self._heartbeat.beat_for(incarnation)
        log.info("worker registered", worker_id=self.identity.worker_id, incarnation=str(incarnation))

    def heard(self, status: WorkerState | None) -> bool:
        """Notes what the store answered to a heartbeat of this incarnation. Returns whether the status changed."""
        self._heard_at = self._clock.monotonic()
        if status is self.status:
            return False
        self.status = status
        if status is WorkerState.DRAINING:
            self.drained_by_request = True
        return True

    @property
    def incarnations(self) -> list[IncarnationId]:
        """All that the store may know and that have not ended."""
        return [one for one in (self.incarnation, self._joining) if one is not None]

    async def deregister(self) -> None:
        """Ends all incarnations. Raises ``StoreUnavailable``."""
        await self._workers.set_status(self.incarnations, WorkerState.STOPPED)
