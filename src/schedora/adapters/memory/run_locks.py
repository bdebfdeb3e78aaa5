"""Run locks in this process."""

from collections.abc import Sequence
from datetime import timedelta
from threading import Lock

from schedora.adapters.memory.heartbeats import MemoryHeartbeats
from schedora.adapters.memory.store import MemoryStore
from schedora.application.ports.run_locks import Contested, RunLock
from schedora.domain.ids import IncarnationId, JobId, LeaseId


class MemoryRunLocks:
    """May be used from several event loops and threads."""

    def __init__(self, store: MemoryStore, heartbeats: MemoryHeartbeats) -> None:
        self._store = store
        self._heartbeats = heartbeats
        self._guard = Lock()
        self._held: dict[JobId, tuple[LeaseId, timedelta]] = {}

    async def take(self, owner: IncarnationId, locks: Sequence[RunLock]) -> Sequence[Contested] | None:
        return self._set(owner, locks, leave_others=False)

    async def renew(self, owner: IncarnationId, locks: Sequence[RunLock]) -> Sequence[Contested] | None:
        return self._set(owner, locks, leave_others=True)

    async def release(self, locks: Sequence[RunLock]) -> Sequence[Contested] | None:
        if self._store.faults.signs_lost:
            return None
        contested = []
        with self._guard:
            for lock in locks:
                if (other := self._other(lock)) is not None:
                    contested.append(other)
                else:
                    self._held.pop(lock.job_id, None)
        return contested

    def _set(
        self, owner: IncarnationId, locks: Sequence[RunLock], *, leave_others: bool
    ) -> Sequence[Contested] | None:
        if self._store.faults.signs_lost:
            return None
        end = self._heartbeats.end(owner)
        contested = []
        with self._guard:
            for lock in locks:
                if (other := self._other(lock)) is not None:
                    contested.append(other)
                    if leave_others:
                        continue
                self._held[lock.job_id] = (lock.lease_id, end)
        return contested

    def _other(self, lock: RunLock) -> Contested | None:
        """Another lease that holds this job's lock."""
        lease_id, end = self._held.get(lock.job_id, (lock.lease_id, timedelta.max))
        if lease_id == lock.lease_id or end <= self._store.clock.monotonic():
            return None
        return Contested(lock, str(lease_id))
