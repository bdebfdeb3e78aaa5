"""Signs of life in this process, which is all there is of a system in memory."""

from collections.abc import Collection
from datetime import timedelta
from threading import Lock

from schedora.adapters.memory.store import MemoryStore
from schedora.domain.ids import IncarnationId


class MemoryHeartbeats:
    """May be used from several event loops and threads."""

    def __init__(self, store: MemoryStore, *, lifetime: timedelta) -> None:
        self._store = store
        self._lifetime = lifetime
        self._guard = Lock()
        self._ends: dict[IncarnationId, timedelta] = {}

    async def beat(self, incarnation: IncarnationId) -> bool:
        if self._store.faults.signs_lost:
            return False
        with self._guard:
            self._ends[incarnation] = self._store.clock.monotonic() + self._lifetime
        return True

    async def alive(self, incarnations: Collection[IncarnationId]) -> frozenset[IncarnationId]:
        if self._store.faults.signs_lost:
            return frozenset()
        now = self._store.clock.monotonic()
        with self._guard:
            self._ends = {one: end for one, end in self._ends.items() if end > now}
            return frozenset(one for one in incarnations if one in self._ends)

    async def forget(self, incarnation: IncarnationId) -> None:
        if not self._store.faults.signs_lost:
            with self._guard:
                self._ends.pop(incarnation, None)

    def end(self, incarnation: IncarnationId) -> timedelta:
        """When what hangs on this sign of life ends, on the monotonic clock."""
        now = self._store.clock.monotonic()
        with self._guard:
            end = self._ends.get(incarnation, now)
        return end if end > now else now + self._lifetime
