"""What an event stream tells."""

from datetime import datetime

from attrs import frozen

from schedora.domain.ids import JobId, WorkerId, WorkflowId
from schedora.domain.job_state import JobState
from schedora.entrypoints.sdk.views import WorkflowStatus


@frozen(kw_only=True)
class JobMove:
    """One move of one job. ``from_state`` is None where the job came into being."""

    event_id: str
    """``after=`` this, a stream goes on behind it."""
    job_id: JobId
    type: str
    queue: str
    workflow_id: WorkflowId | None
    at: datetime
    from_state: JobState | None
    to_state: JobState
    attempt: int
    worker_id: WorkerId | None
    reason: str | None


@frozen(kw_only=True)
class StreamReady:
    """From here on, every move is told, unless a ``StreamGap`` says otherwise."""

    event_id: str
    at: datetime


@frozen(kw_only=True)
class StreamGap:
    """Something may have been missed before this. ``reason``: ``lost``, ``unattended`` or ``unknown_id``."""

    reason: str


StreamEvent = JobMove | StreamReady | StreamGap
WorkflowStreamEvent = JobMove | WorkflowStatus | StreamReady | StreamGap
