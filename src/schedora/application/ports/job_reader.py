"""Jobs as they are looked at. Reads change nothing and lock nothing."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final, Protocol

from attrs import frozen

from schedora.domain.ids import JobId, JsonText, LeaseToken, WorkerId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.job_state import JobState

PAGE_BYTES: Final = 2 * 1024 * 1024
"""A page has no more rows once what they carry is of so many bytes: 500 jobs may have a gigabyte of payloads and results."""


@frozen(kw_only=True)
class JobFilter:
    """None, or no state: any. ``created_after`` is inclusive, ``created_before`` exclusive."""

    states: frozenset[JobState] = frozenset()
    type: str | None = None
    queue: str | None = None
    workflow_id: WorkflowId | None = None
    worker_id: WorkerId | None = None
    error_kind: str | None = None
    """The kind of the newest failed attempt."""
    created_after: datetime | None = None
    created_before: datetime | None = None


@frozen(kw_only=True)
class JobPage:
    """``next_after`` continues behind the last one; None at the end."""

    jobs: tuple[Job, ...]
    next_after: JobId | None


@frozen
class StatusSummary:
    """Where a job stands, as briefly as can be: of two looks with a move between them, the second tells another one,
    unless it was canceled and requeued, or the other way round, without a claim.
    """

    status: JobState
    lease_token: LeaseToken


class JobReader(Protocol):
    async def get(self, job_id: JobId) -> Job | None:
        """None where there is none. One that has succeeded may be told of for a minute after it was removed."""
        ...

    async def page(self, job_filter: JobFilter, *, limit: int, after: JobId | None) -> JobPage:
        """Newest first. May have fewer than ``limit`` and go on all the same: behind ``PAGE_BYTES``, above all."""
        ...

    async def ended(self, job_ids: Collection[JobId]) -> set[JobId]:
        """Which of these have ended, or do not exist."""
        ...

    async def status_summaries(self, job_ids: Collection[JobId]) -> Mapping[JobId, StatusSummary]:
        """Those of the jobs that exist."""
        ...

    async def upstream_results(self, job_id: JobId) -> Mapping[str, JsonText | None]:
        """The results of what this job depends on, by key, by job id where there is no key."""
        ...
