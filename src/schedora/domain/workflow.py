"""A workflow: a named graph of jobs whose state follows from theirs."""

from datetime import datetime
from enum import StrEnum

from attrs import field, frozen

from schedora.domain.ids import DEFAULT_TENANT, JsonText, TenantId, WorkflowId
from schedora.domain.text import check_text

NAME_LENGTH_MAX = 255
DESCRIPTION_LENGTH_MAX = 10_000
JOBS_MAX = 10_000
"""Jobs in one call."""


class WorkflowState(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


@frozen(kw_only=True)
class JobCounts:
    """A workflow's jobs by what has become of them. ``pending`` includes SCHEDULED and RETRYING."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    """DEAD."""
    canceled: int = 0
    running: int = 0
    begun: bool = False
    """Whether any job has been claimed, ever."""

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed + self.canceled

    @property
    def pending(self) -> int:
        return self.total - self.ended - self.running


@frozen(kw_only=True)
class Workflow:
    workflow_id: WorkflowId
    tenant_id: TenantId = DEFAULT_TENANT
    name: str
    description: str = ""
    config: JsonText = JsonText("{}")
    created_at: datetime
    completed_at: datetime | None = None
    canceled_at: datetime | None = None
    """When an operator canceled it as a whole."""
    counts: JobCounts = field(factory=JobCounts)

    def __attrs_post_init__(self) -> None:
        check_text("name", self.name, length_max=NAME_LENGTH_MAX)
        check_text("description", self.description, length_min=0, length_max=DESCRIPTION_LENGTH_MAX)

    @property
    def status(self) -> WorkflowState:
        """CANCELED as a whole once nothing of it runs; else FAILED when a job is DEAD, CANCELED when one is
        canceled, SUCCESS when all succeeded; RUNNING from the first claim until then.
        """
        counts = self.counts
        if counts.ended == counts.total and (counts.total or self.canceled_at):
            if self.canceled_at is not None:
                return WorkflowState.CANCELED
            if counts.failed:
                return WorkflowState.FAILED
            return WorkflowState.CANCELED if counts.canceled else WorkflowState.SUCCESS
        if counts.begun or counts.running or counts.ended:
            return WorkflowState.RUNNING
        return WorkflowState.PENDING

    @property
    def ended(self) -> bool:
        return self.status in ENDED_WORKFLOW


ENDED_WORKFLOW = frozenset({WorkflowState.SUCCESS, WorkflowState.FAILED, WorkflowState.CANCELED})
