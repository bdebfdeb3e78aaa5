"""Reasons why a job does not run, or what it does: each with a code for programs and a message for people."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from attrs import frozen

from schedora.diagnosis.why.inputs import UnfinishedUpstream
from schedora.domain.ids import JobId, WorkerId
from schedora.domain.job_state import JobState


class ReasonCode(StrEnum):
    """What programs go by. A code keeps its meaning; new ones may come."""

    WAITS_FOR_JOBS = "waits_for_jobs"
    RETRIES_LATER = "retries_later"
    DUE_LATER = "due_later"
    QUEUE_PAUSED = "queue_paused"
    NO_WORKERS = "no_workers"
    TYPE_UNKNOWN = "type_unknown"
    QUEUE_NOT_SERVED = "queue_not_served"
    WORKERS_DRAINING = "workers_draining"
    WORKERS_SILENT = "workers_silent"
    SLOTS_TAKEN = "slots_taken"
    JOBS_AHEAD = "jobs_ahead"
    READY = "ready"
    FAILED_BEFORE = "failed_before"
    HOLDER_LOST = "holder_lost"
    HOLDER_SILENT = "holder_silent"
    HOLDER_DRAINING = "holder_draining"
    OVERDUE = "overdue"
    CLAIMED = "claimed"
    RUNNING = "running"
    UPSTREAM_FAILED = "upstream_failed"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELED = "canceled"


BLOCKING: Final = frozenset(
    {
        ReasonCode.WAITS_FOR_JOBS,
        ReasonCode.RETRIES_LATER,
        ReasonCode.DUE_LATER,
        ReasonCode.QUEUE_PAUSED,
        ReasonCode.NO_WORKERS,
        ReasonCode.TYPE_UNKNOWN,
        ReasonCode.QUEUE_NOT_SERVED,
        ReasonCode.WORKERS_DRAINING,
    }
)
"""Of a job that waits: while any of these holds, no claim takes it."""


DELAYING: Final = frozenset({ReasonCode.WORKERS_SILENT, ReasonCode.SLOTS_TAKEN, ReasonCode.JOBS_AHEAD})
"""Of a job that is ready: what stands between it and its claim."""


@frozen(kw_only=True)
class Reason:
    """One reason: its code, its message for people, and what belongs to that code; the rest is None or empty."""

    code: ReasonCode
    message: str
    since: datetime | None = None
    until: datetime | None = None
    eta_seconds: float | None = None
    count: int | None = None
    at_least: bool | None = None
    """Whether ``count`` is where counting stopped."""
    per_second: float | None = None
    slots: int | None = None
    attempt: int | None = None
    queue: str | None = None
    type: str | None = None
    worker_ids: tuple[WorkerId, ...] = ()
    last_heartbeat: datetime | None = None
    error_kind: str | None = None
    error_message: str | None = None
    jobs: tuple[UnfinishedUpstream, ...] = ()


@frozen(kw_only=True)
class Why:
    """``ready``: whether a claim with room would take the job now. ``summary`` is one line."""

    job_id: JobId
    status: JobState
    ready: bool
    summary: str
    reasons: tuple[Reason, ...]
