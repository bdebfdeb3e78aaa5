"""Workflows as they are looked at."""

from collections.abc import Collection, Mapping
from typing import Protocol

from attrs import frozen

from schedora.application.ports.workflows import WorkflowJobs
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.workflow import Workflow, WorkflowState


@frozen(kw_only=True)
class WorkflowPage:
    """Newest first."""

    workflows: tuple[Workflow, ...]
    next_after: WorkflowId | None


class WorkflowReader(Protocol):
    async def get(self, workflow_id: WorkflowId) -> Workflow | None:
        """With its counts as of now."""
        ...

    async def get_many(self, workflow_ids: Collection[WorkflowId]) -> Mapping[WorkflowId, Workflow]:
        """The same for those that exist."""
        ...

    async def jobs(self, workflow_id: WorkflowId) -> WorkflowJobs:
        """In the order of their ids."""
        ...

    async def some_jobs(self, workflow_id: WorkflowId, *, limit: int, after: JobId | None) -> tuple[Job, ...]:
        """The first of them in the order of their ids, or those that come next."""
        ...

    async def page(
        self, *, status: WorkflowState | None, name: str | None, limit: int, after: WorkflowId | None
    ) -> WorkflowPage: ...
