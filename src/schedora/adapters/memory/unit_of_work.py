"""One transaction over the stores."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Self

from schedora.adapters.memory.faults import BEGIN, Faults
from schedora.adapters.memory.jobs import MemoryJobStore
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.tables import Tables
from schedora.adapters.memory.wakeup import MemoryWakeup
from schedora.adapters.memory.workflows import MemoryWorkflowStore
from schedora.application.errors import StoreUnavailable
from schedora.application.pipeline.complete import complete
from schedora.application.ports.unit_of_work import Advanced
from schedora.domain.completion import Completion


class MemoryUnitOfWork:
    """Also the connection that ``join`` takes: to work inside of a unit that is open already.

    All that happens within it happens at one instant.
    """

    def __init__(self, store: MemoryStore, tables: Tables) -> None:
        self._store = store
        self._tables = tables
        self._now = store.clock.now()
        self.jobs = MemoryJobStore(store, tables, self._now)
        self.workflows = MemoryWorkflowStore(store, tables, self._now)
        self.open = True
        self.notified: set[str] = set()

    async def now(self) -> datetime:
        return self._now

    async def notify(self, *, queues: Collection[str]) -> None:
        self.notified.update(queues)

    def joined(self) -> Self:
        """Another unit in the same transaction, at the instant that it is now."""
        unit = type(self)(self._store, self._tables)
        unit.notified = self.notified
        return unit


class MemoryUnitOfWorkFactory:
    def __init__(self, store: MemoryStore) -> None:
        self.faults: Faults = store.faults
        self._store = store
        self._wakeup = MemoryWakeup(store)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[MemoryUnitOfWork]:
        line = self.faults.line
        if line is not None:
            await line.there(BEGIN)
        self.faults.pass_by(BEGIN)
        async with self._store.transaction() as tables:
            unit = MemoryUnitOfWork(self._store, tables)
            try:
                yield unit
            finally:
                unit.open = False
        self._wakeup.notify(queues=unit.notified)
        if line is not None:
            await line.back(BEGIN)

    async def advance(self, completions: Sequence[Completion]) -> Advanced:
        async with self.begin() as unit:
            completed = await complete(unit, completions)
        return Advanced(accepted=completed.accepted, queues=completed.queues)

    @asynccontextmanager
    async def join(self, connection: object) -> AsyncIterator[MemoryUnitOfWork]:
        if not isinstance(connection, MemoryUnitOfWork):
            raise TypeError(
                f"the memory store has no transaction on a {type(connection).__qualname__}: "
                "it joins units of work of its own"
            )
        if not connection.open:
            raise StoreUnavailable("the unit of work to join has ended")
        unit = connection.joined()
        try:
            yield unit
        finally:
            unit.open = False
