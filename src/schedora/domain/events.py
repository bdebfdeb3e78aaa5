"""Facts worth telling, in the past tense: what happened to a job, and why an attempt failed."""

from datetime import datetime

from attrs import frozen

from schedora.domain import values
from schedora.domain.ids import JobId, WorkerId, WorkflowId
from schedora.domain.job_state import JobState

HISTORY_LIMIT = 500
"""Moves kept per job; the oldest go first. A job that snoozes for ever must not grow for ever."""

ERRORS_LIMIT = 200
"""Failed attempts kept per job; the oldest go first."""


@frozen(kw_only=True)
class JobEvent:
    """One move of one job. ``from_state`` is None where the job came into being. ``due`` is when it may run again, where
    the move decides that.
    """

    at: datetime
    from_state: JobState | None
    to_state: JobState
    attempt: int
    worker_id: WorkerId | None = None
    reason: str | None = None
    due: datetime | None = None


@values.frozen
class Notice:
    """One move of one job, and whose it is: all that whoever looks on is told."""

    job_id: JobId
    type: str
    queue: str
    workflow_id: WorkflowId | None
    event: JobEvent


@frozen(kw_only=True)
class AttemptError:
    """Why one attempt failed.

    ``kind`` is the exception's class name, or ``timeout``, ``worker_lost``, ``invalid_payload``,
    ``invalid_result``, ``poison``.
    """

    attempt: int
    at: datetime
    worker_id: WorkerId | None
    kind: str
    message: str
    traceback: str | None = None
