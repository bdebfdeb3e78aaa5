"""Workflows as they are looked at."""

from collections.abc import Collection, Mapping
from typing import Final, Protocol

from attrs import frozen

from schedora.application.ports.job_reader import JobPage
from schedora.application.ports.workflows import WorkflowJobs
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.workflow import Workflow, WorkflowState

MOVE_BYTES: Final = 1_000
"""Of the spans that a move of a job makes, about."""


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

    async def some_jobs(
        self, workflow_id: WorkflowId, *, limit: int, bytes_max: int, after: JobId | None
    ) -> JobPage:
        """For their traces: so many in the order of their ids, and none more once what these are made of is of
        ``bytes_max``: errors, spans that handlers left, and ``MOVE_BYTES`` for each move. So there is one at least. Whole
        ones, but for payload and result.
        """
        ...

    async def page(
        self, *, status: WorkflowState | None, name: str | None, limit: int, after: WorkflowId | None
    ) -> WorkflowPage: ...
