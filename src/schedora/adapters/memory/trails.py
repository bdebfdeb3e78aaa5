"""What runs leave beside their outcomes."""

from collections.abc import Sequence

import attrs

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.store import MemoryStore
from schedora.domain.ids import JobId
from schedora.domain.trail import RUNS_MAX, Trail


class MemoryTrails:
    def __init__(self, store: MemoryStore) -> None:
        self.faults: Faults = store.faults
        self._store = store

    @fallible
    async def keep(self, trails: Sequence[Trail]) -> None:
        async with self._store.transaction() as tables:
            for trail in trails:
                if trail.job_id not in tables.jobs:
                    continue
                kept = {
                    one.lease_token: one
                    for one in tables.trails.get(trail.job_id, ())
                    if one.lease_token > trail.lease_token - RUNS_MAX
                }
                kept[trail.lease_token] = trail
                tables.trails[trail.job_id] = tuple(kept[token] for token in sorted(kept))

    @fallible
    async def lines_of(self, job_id: JobId) -> tuple[Trail, ...]:
        with self._store.committed() as tables:
            return tuple(attrs.evolve(trail, spans=()) for trail in tables.trails.get(job_id, ()))

    @fallible
    async def spans_of(self, job_ids: Sequence[JobId]) -> dict[JobId, tuple[Trail, ...]]:
        with self._store.committed() as tables:
            return {
                job_id: tuple(attrs.evolve(trail, lines=()) for trail in tables.trails[job_id])
                for job_id in job_ids
                if job_id in tables.trails
            }

    @fallible
    async def prune(self, *, limit: int) -> int:
        """There is nothing to remove: they go with their jobs."""
        del limit
        return 0
