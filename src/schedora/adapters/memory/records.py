"""The records of jobs and workflows that have ended."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.jobs import forget
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.tables import Tables
from schedora.adapters.memory.workflows import jobs_of
from schedora.application.ports.records import Pruned
from schedora.domain.ids import WorkflowId
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora.domain.retention import Retention


class MemoryRecords:
    def __init__(self, store: MemoryStore) -> None:
        self.faults: Faults = store.faults
        self._store = store

    @fallible
    async def prune_jobs(self, retention: Retention, *, limit: int) -> Pruned:
        async with self._store.transaction() as tables:
            now = self._store.clock.now()
            oldest_first = (tables.jobs[job_id] for job_id in self._store.index.ids)
            standalone = (job for job in oldest_first if job.request.workflow_id is None)
            expired = list(islice(_expired(standalone, tables, retention, now), limit))
            for job in expired:
                forget(tables, job.job_id)
        return Pruned(jobs=len(expired), more=len(expired) == limit)

    @fallible
    async def prune_workflows(self, retention: Retention, *, limit: int) -> Pruned:
        async with self._store.transaction() as tables:
            now = self._store.clock.now()
            jobs_count = workflows_count = effort = 0
            for workflow_id in sorted(tables.workflows):
                if effort >= limit:
                    break
                if not _workflow_expired(workflow_id, tables, retention, now):
                    continue
                jobs = jobs_of(tables, workflow_id).jobs
                for job in jobs:
                    forget(tables, job.job_id)
                workflow = tables.workflows.pop(workflow_id)
                del tables.workflow_names[workflow.tenant_id, workflow.name]
                tables.workflow_jobs.pop(workflow_id, None)
                jobs_count += len(jobs)
                workflows_count += 1
                effort += max(1, len(jobs))
        return Pruned(jobs=jobs_count, workflows=workflows_count, more=effort >= limit)


def _workflow_expired(workflow_id: WorkflowId, tables: Tables, retention: Retention, now: datetime) -> bool:
    completed_at = tables.workflows[workflow_id].completed_at
    if completed_at is None:
        return False
    jobs = jobs_of(tables, workflow_id).jobs
    if not jobs:
        return retention.expired(JobState.CANCELED, completed_at, now)
    return len(list(_expired(jobs, tables, retention, now))) == len(jobs)


def _expired(jobs: Iterable[Job], tables: Tables, retention: Retention, now: datetime) -> Iterator[Job]:
    for job in jobs:
        if job.ended and job.completed_at is not None:
            in_force = tables.queues[job.request.queue].retention.over(retention)
            if in_force.expired(job.status, job.completed_at, now):
                yield job
