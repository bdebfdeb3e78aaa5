"""Workflows as commands change them."""

from collections.abc import Collection, Sequence
from datetime import datetime

import attrs

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.tables import Tables
from schedora.application.errors import NameTaken
from schedora.application.ports.workflows import CountChange, WorkflowJobs
from schedora.domain.ids import JsonText, TenantId, WorkflowId
from schedora.domain.job_state import JobState
from schedora.domain.workflow import Workflow


class MemoryWorkflowStore:
    """Within one transaction. Nobody else changes anything meanwhile: every row is as good as locked."""

    def __init__(self, store: MemoryStore, tables: Tables, now: datetime) -> None:
        self.faults: Faults = store.faults
        self._now = now
        self._tables = tables

    @fallible
    async def add(
        self, *, workflow_id: WorkflowId, name: str, description: str, config: JsonText, tenant_id: TenantId
    ) -> Workflow:
        if (tenant_id, name) in self._tables.workflow_names:
            raise NameTaken(name)
        workflow = Workflow(
            workflow_id=workflow_id,
            tenant_id=tenant_id,
            name=name,
            description=description,
            config=config,
            created_at=self._now,
        )
        self._tables.workflows[workflow_id] = workflow
        self._tables.workflow_names[tenant_id, name] = workflow_id
        return workflow

    @fallible
    async def lock(self, workflow_ids: Collection[WorkflowId]) -> list[Workflow]:
        known = sorted(
            workflow_id for workflow_id in set(workflow_ids) if workflow_id in self._tables.workflows
        )
        return [with_live_counts(self._tables, workflow_id) for workflow_id in known]

    @fallible
    async def lock_jobs(self, workflow_id: WorkflowId) -> WorkflowJobs:
        return jobs_of(self._tables, workflow_id)

    @fallible
    async def count(self, changes: Sequence[CountChange], *, at: datetime) -> None:
        for change in changes:
            workflow = self._tables.workflows[change.workflow_id]
            kept = workflow.counts
            counts = attrs.evolve(
                kept,
                total=kept.total + change.total,
                succeeded=kept.succeeded + change.succeeded,
                failed=kept.failed + change.failed,
                canceled=kept.canceled + change.canceled,
            )
            workflow = attrs.evolve(workflow, counts=counts)
            completed_at = (workflow.completed_at or at) if workflow.ended else None
            self._tables.workflows[change.workflow_id] = attrs.evolve(workflow, completed_at=completed_at)

    @fallible
    async def set_canceled(self, workflow_id: WorkflowId, at: datetime | None) -> None:
        workflow = self._tables.workflows[workflow_id]
        self._tables.workflows[workflow_id] = attrs.evolve(workflow, canceled_at=at)


def jobs_of(tables: Tables, workflow_id: WorkflowId) -> WorkflowJobs:
    """In the order of their ids."""
    jobs = tuple(tables.jobs[job_id] for job_id in sorted(tables.workflow_jobs.get(workflow_id, ())))
    return WorkflowJobs(jobs=jobs, depends_on={job.job_id: job.request.depends_on for job in jobs})


def with_live_counts(tables: Tables, workflow_id: WorkflowId) -> Workflow:
    """The workflow with what its kept counts do not tell: what runs, and whether anything ever began."""
    workflow = tables.workflows[workflow_id]
    jobs = [tables.jobs[job_id] for job_id in tables.workflow_jobs.get(workflow_id, ())]
    running = sum(job.status is JobState.RUNNING for job in jobs)
    begun = any(job.lease_token for job in jobs)
    return attrs.evolve(workflow, counts=attrs.evolve(workflow.counts, running=running, begun=begun))
