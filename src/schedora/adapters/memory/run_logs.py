"""What runs leave beside their outcomes."""

from collections.abc import Sequence

import attrs

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.store import MemoryStore
from schedora.domain.ids import JobId
from schedora.domain.run_log import RUNS_MAX, RunLog


class MemoryRunLogs:
    def __init__(self, store: MemoryStore) -> None:
        self.faults: Faults = store.faults
        self._store = store

    @fallible
    async def keep(self, run_logs: Sequence[RunLog]) -> None:
        async with self._store.transaction() as tables:
            for run_log in run_logs:
                if run_log.job_id not in tables.jobs:
                    continue
                kept = {
                    one.lease_token: one
                    for one in tables.run_logs.get(run_log.job_id, ())
                    if one.lease_token > run_log.lease_token - RUNS_MAX
                }
                kept[run_log.lease_token] = run_log
                tables.run_logs[run_log.job_id] = tuple(kept[token] for token in sorted(kept))

    @fallible
    async def lines_of(self, job_id: JobId) -> tuple[RunLog, ...]:
        with self._store.committed() as tables:
            return tuple(attrs.evolve(run_log, spans=()) for run_log in tables.run_logs.get(job_id, ()))

    @fallible
    async def spans_of(self, job_ids: Sequence[JobId]) -> dict[JobId, tuple[RunLog, ...]]:
        with self._store.committed() as tables:
            return {
                job_id: tuple(attrs.evolve(run_log, lines=()) for run_log in tables.run_logs[job_id])
                for job_id in job_ids
                if job_id in tables.run_logs
            }

    @fallible
    async def prune(self, *, limit: int) -> int:
        """There is nothing to remove: they go with their jobs."""
        del limit
        return 0
