"""Rate limits that all processes share: one token bucket a name."""

from collections.abc import Sequence
from itertools import islice

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.store import MemoryStore
from schedora.domain.limits import Decision, TokenBatch, TokenRequest, decide


class MemoryRateLimiter:
    def __init__(self, store: MemoryStore) -> None:
        self.faults: Faults = store.faults
        self._store = store

    @fallible
    async def take(self, requests: Sequence[TokenRequest]) -> list[Decision]:
        batch = TokenBatch(tuple(requests))
        async with self._store.transaction() as tables:
            now = self._store.clock.now()
            waits_us = []
            for request in batch.possible:
                wait_us, buckets = decide(request, tables.buckets, now)
                tables.buckets.update(buckets)
                waits_us.append(wait_us)
        return batch.decisions(waits_us)

    @fallible
    async def prune(self, *, limit: int) -> int:
        async with self._store.transaction() as tables:
            now = self._store.clock.now()
            full = (name for name, bucket in tables.buckets.items() if bucket.full_at < now)
            gone = list(islice(full, limit))
            for name in gone:
                del tables.buckets[name]
            return len(gone)
