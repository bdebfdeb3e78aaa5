"""Workflows as they are looked at."""

from bisect import bisect_right
from collections.abc import Collection, Mapping
from itertools import islice

import attrs

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.job_reader import within_bytes
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.tables import Tables
from schedora.adapters.memory.workflows import jobs_of, with_live_counts
from schedora.application.ports.job_reader import JobPage
from schedora.application.ports.workflow_reader import MOVE_BYTES, WorkflowPage
from schedora.application.ports.workflows import WorkflowJobs
from schedora.domain.ids import JobId, JsonText, WorkflowId
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
    async def some_jobs(
        self, workflow_id: WorkflowId, *, limit: int, bytes_max: int, after: JobId | None
    ) -> JobPage:
        with self._store.committed() as tables:
            ids = sorted(tables.workflow_jobs.get(workflow_id, ()))
            ids = ids[0 if after is None else bisect_right(ids, after) :]
            jobs: list[Job] = []
            size = 0
            while len(jobs) < min(limit, len(ids)) and size < bytes_max:
                job = tables.jobs[ids[len(jobs)]]
                jobs.append(_told_by_traces(job))
                size += _trace_bytes(tables, job)
        return JobPage(jobs=tuple(jobs), next_after=jobs[-1].job_id if len(jobs) < len(ids) else None)

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
        workflows = tuple(within_bytes(found[:limit], lambda workflow: len(workflow.config)))
        return WorkflowPage(
            workflows=workflows, next_after=workflows[-1].workflow_id if len(found) > len(workflows) else None
        )


def _told_by_traces(job: Job) -> Job:
    request = attrs.evolve(job.request, payload=JsonText("{}"))
    return attrs.evolve(job, request=request, result=None)


def _trace_bytes(tables: Tables, job: Job) -> int:
    errors = sum(len(f"{error.message}{error.traceback or ''}".encode()) for error in job.errors)
    left = sum(len(span.encode()) for run in tables.run_logs.get(job.job_id, ()) for span in run.spans)
    return errors + left + len(job.history) * MOVE_BYTES
