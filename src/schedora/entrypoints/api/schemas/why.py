"""Why a job does not run, as it is shown."""

from typing import Any, NotRequired
from uuid import UUID

import attrs
from typing_extensions import TypedDict

from schedora.diagnosis.why.inputs import UnfinishedUpstream
from schedora.diagnosis.why.reason import Reason, ReasonCode, Why
from schedora.domain.job_state import JobState
from schedora.entrypoints.api.schemas.fields import Utc


class UpstreamView(TypedDict):
    """A job that stands in the way. ``since``: since when it is held or has ended; of one that waits, when it is due."""

    job_id: UUID
    key: str | None
    type: str
    status: JobState
    since: Utc
    waits_for: int
    worker_id: str | None
    error_kind: str | None
    error_message: str | None


class ReasonView(TypedDict):
    """One reason, with what belongs to its code."""

    code: ReasonCode
    message: str
    since: NotRequired[Utc]
    until: NotRequired[Utc]
    eta_seconds: NotRequired[float]
    count: NotRequired[int]
    at_least: NotRequired[bool]
    per_second: NotRequired[float]
    slots: NotRequired[int]
    attempt: NotRequired[int]
    queue: NotRequired[str]
    type: NotRequired[str]
    worker_ids: NotRequired[list[str]]
    last_heartbeat: NotRequired[Utc]
    error_kind: NotRequired[str]
    error_message: NotRequired[str]
    jobs: NotRequired[list[UpstreamView]]


class WhyView(TypedDict):
    """``ready``: a claim with room would take the job now. ``reasons``: the decisive ones first."""

    job_id: UUID
    status: JobState
    ready: bool
    summary: str
    reasons: list[ReasonView]


def why_view(why: Why) -> WhyView:
    return {
        "job_id": why.job_id,
        "status": why.status,
        "ready": why.ready,
        "summary": why.summary,
        "reasons": [_reason_view(reason) for reason in why.reasons],
    }


def _reason_view(reason: Reason) -> ReasonView:
    told: Any = {
        name: value for name, value in attrs.asdict(reason, recurse=False).items() if value not in (None, ())
    }
    if reason.jobs:
        told["jobs"] = [_upstream_view(job) for job in reason.jobs]
    view: ReasonView = told
    return view


def _upstream_view(job: UnfinishedUpstream) -> UpstreamView:
    return {
        "job_id": job.job_id,
        "key": job.key,
        "type": job.type,
        "status": job.status,
        "since": job.since,
        "waits_for": job.waits_for,
        "worker_id": job.worker_id,
        "error_kind": job.error_kind,
        "error_message": job.error_message,
    }
