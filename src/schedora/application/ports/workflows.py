"""Workflows as commands change them, inside of one unit of work."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from attrs import frozen

from schedora.domain.ids import JobId, JsonText, TenantId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.workflow import Workflow


@frozen(kw_only=True)
class CountChange:
    """By how much a workflow's kept counts change."""

    workflow_id: WorkflowId
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    canceled: int = 0


@frozen(kw_only=True)
class WorkflowJobs:
    """All jobs of one workflow and what each depends on."""

    jobs: tuple[Job, ...]
    depends_on: dict[JobId, tuple[JobId, ...]]


class WorkflowStore(Protocol):
    async def add(
        self, *, workflow_id: WorkflowId, name: str, description: str, config: JsonText, tenant_id: TenantId
    ) -> Workflow:
        """Stores an empty workflow. Raises ``NameTaken``."""
        ...

    async def lock(self, workflow_ids: Collection[WorkflowId]) -> list[Workflow]:
        """Those that exist. Taken before any of their jobs is locked: it orders all structural changes."""
        ...

    async def lock_jobs(self, workflow_id: WorkflowId) -> WorkflowJobs:
        """All jobs of a locked workflow, locked."""
        ...

    async def count(self, changes: Sequence[CountChange], *, at: datetime) -> None:
        """Adds to the kept counts of locked workflows; sets or clears ``completed_at`` accordingly."""
        ...

    async def set_canceled(self, workflow_id: WorkflowId, at: datetime | None) -> None:
        """Marks a locked workflow as canceled as a whole, or takes the mark away."""
        ...
