"""What jobs depend on and what depends on them."""

from collections.abc import Collection

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.store import MemoryStore
from schedora.application.ports.lineage_reader import DEPENDANTS_MAX
from schedora.application.telemetry.lineage import Dependants, Lineage, Relative
from schedora.domain.ids import JobId
from schedora.domain.job import Job


class MemoryLineageReader:
    def __init__(self, store: MemoryStore) -> None:
        self.faults: Faults = store.faults
        self._store = store

    @fallible
    async def lineage(self, job_ids: Collection[JobId], *, upstream_ids: Collection[JobId]) -> Lineage:
        with self._store.committed() as tables:
            upstream = [tables.jobs[job_id] for job_id in upstream_ids if job_id in tables.jobs]
            dependants = {job_id: sorted(tables.dependants.get(job_id, ())) for job_id in job_ids}
            return Lineage(
                at=self._store.clock.now(),
                upstream={job.job_id: _relative(job) for job in upstream},
                dependants={
                    job_id: Dependants(count=len(found), job_ids=tuple(found[:DEPENDANTS_MAX]))
                    for job_id, found in dependants.items()
                    if found
                },
            )


def _relative(job: Job) -> Relative:
    return Relative(
        job_id=job.job_id,
        key=job.request.key,
        trace=job.trace,
        status=job.status,
        claimed_at=job.claimed_at,
        completed_at=job.completed_at,
    )
