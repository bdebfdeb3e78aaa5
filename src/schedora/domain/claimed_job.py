"""A job as its holder sees it: what is needed to run it and to decide what comes next, and no more."""

from datetime import datetime, timedelta

from schedora.domain.ids import (
    IncarnationId,
    JobId,
    JsonText,
    LeaseId,
    LeaseToken,
    WorkerId,
    WorkflowId,
)
from schedora.domain.job_state import JobState
from schedora.domain.retry import RetryPolicy
from schedora.domain.values import frozen


@frozen
class ClaimedJob:
    """Its fields can't change while the lease lives; the fence makes sure of that.

    ``attempt`` counts the tries used up before this claim. ``started_at`` is None while the store has not
    recorded a start.
    """

    job_id: JobId
    lease_id: LeaseId
    lease_token: LeaseToken
    owner: IncarnationId
    worker_id: WorkerId
    type: str
    queue: str
    priority: int
    payload: JsonText
    waited_as: JobState
    """PENDING or RETRYING: the state that the claim found."""
    attempt: int
    retry_count: int
    worker_deaths: int
    retry: RetryPolicy
    timeout: timedelta
    workflow_id: WorkflowId | None
    key: str | None
    depends_on: tuple[JobId, ...]
    traceparent: str
    created_at: datetime
    scheduled_at: datetime
    claimed_at: datetime
    started_at: datetime | None
    suspect: bool = False
    """A worker died while holding it: its start must be on record before it runs."""

    @property
    def was_due_for(self) -> timedelta | None:
        """At its claim. None where it waited for others at first: when the last of them ended is not on record."""
        if self.depends_on and self.waited_as is JobState.PENDING:
            return None
        return self.claimed_at - self.scheduled_at

    @property
    def current_attempt(self) -> int:
        """The number of this run, counted from 1."""
        return self.attempt + 1
