"""Counts of all processes together."""

from collections.abc import Mapping

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.store import MemoryStore
from schedora.application.ports.shared_counters import Series


class MemorySharedCounters:
    def __init__(self, store: MemoryStore) -> None:
        self.faults: Faults = store.faults
        self._store = store

    @fallible
    async def add(self, increments: Mapping[Series, float]) -> None:
        async with self._store.transaction() as tables:
            for series, amount in increments.items():
                tables.shared_counters[series] = tables.shared_counters.get(series, 0) + amount

    @fallible
    async def read(self) -> Mapping[Series, float]:
        with self._store.committed() as tables:
            return dict(tables.shared_counters)
