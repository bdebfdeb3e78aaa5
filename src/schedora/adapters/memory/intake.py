"""Where single jobs come in."""

from collections.abc import Sequence

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.jobs import MemoryJobStore
from schedora.adapters.memory.store import MemoryStore
from schedora.application.ports.jobs import NewJob, Submission


class MemoryJobIntake:
    """Transactions run one after the other here: there is no other to wait for."""

    def __init__(self, store: MemoryStore) -> None:
        self.faults: Faults = store.faults
        self._store = store

    @fallible
    async def add(self, jobs: Sequence[NewJob]) -> list[Submission]:
        async with self._store.transaction() as tables:
            return await MemoryJobStore(self._store, tables, self._store.clock.now()).add(jobs)
