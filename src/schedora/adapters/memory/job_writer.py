"""Where single jobs come in."""

from collections.abc import Sequence

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.jobs import MemoryJobStore
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.wakeup import MemoryWakeup
from schedora.application.commands.created import all_later, queues_to_notify
from schedora.application.ports.jobs import NewJob, Submission


class MemoryJobWriter:
    """Transactions run one after the other here: there is no other to wait for."""

    def __init__(self, store: MemoryStore) -> None:
        self.faults: Faults = store.faults
        self._store = store
        self._wakeup = MemoryWakeup(store)

    @fallible
    async def add(self, jobs: Sequence[NewJob]) -> list[Submission]:
        async with self._store.transaction() as tables:
            submissions = await MemoryJobStore(self._store, tables, self._store.clock.now()).add(jobs)
        created = [one.new for one in submissions if one.created]
        self._wakeup.notify(queues=queues_to_notify(created), later=all_later(created))
        return submissions
