"""Workflows as they are looked at."""

from bisect import bisect_right
from collections.abc import Collection, Mapping
from itertools import islice

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.workflows import jobs_of, with_live_counts
from schedora.application.ports.workflow_reader import WorkflowPage
from schedora.application.ports.workflows import WorkflowJobs
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.workflow import Workflow, WorkflowState


class MemoryWorkflowReader:
    def __init__(self, store: MemoryStore) -> None:
        self.faults: Faults = store.faults
        self._store = store

    @fallible
    async def get(self, workflow_id: WorkflowId) -> Workflow | None:
        with self._store.committed() as tables:
            return with_live_counts(tables, workflow_id) if workflow_id in tables.workflows else None

    @fallible
    async def get_many(self, workflow_ids: Collection[WorkflowId]) -> Mapping[WorkflowId, Workflow]:
        with self._store.committed() as tables:
            return {
                workflow_id: with_live_counts(tables, workflow_id)
                for workflow_id in workflow_ids
                if workflow_id in tables.workflows
            }

    @fallible
    async def jobs(self, workflow_id: WorkflowId) -> WorkflowJobs:
        with self._store.committed() as tables:
            return jobs_of(tables, workflow_id)

    @fallible
    async def some_jobs(self, workflow_id: WorkflowId, *, limit: int, after: JobId | None) -> tuple[Job, ...]:
        with self._store.committed() as tables:
            ids = sorted(tables.workflow_jobs.get(workflow_id, ()))
            start = 0 if after is None else bisect_right(ids, after)
            return tuple(tables.jobs[job_id] for job_id in ids[start : start + limit])

    @fallible
    async def page(
        self, *, status: WorkflowState | None, name: str | None, limit: int, after: WorkflowId | None
    ) -> WorkflowPage:
        with self._store.committed() as tables:
            newest_first = (
                with_live_counts(tables, workflow_id)
                for workflow_id in sorted(tables.workflows, reverse=True)
                if (after is None or workflow_id < after)
                and (name is None or tables.workflows[workflow_id].name == name)
            )
            matching = (workflow for workflow in newest_first if status in (None, workflow.status))
            # One more than asked for tells whether there is a next page.
            found = list(islice(matching, limit + 1))
        workflows = tuple(found[:limit])
        return WorkflowPage(
            workflows=workflows, next_after=workflows[-1].workflow_id if len(found) > limit else None
        )
