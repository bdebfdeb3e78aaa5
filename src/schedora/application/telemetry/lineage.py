"""Whose a job is: what it depends on and what depends on it, as briefly as its trace tells of them."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from attrs import field, frozen

from schedora.domain.ids import JobId
from schedora.domain.job_state import JobState
from schedora.domain.trace import TraceContext


@frozen(kw_only=True)
class Relative:
    """A job that another depends on. ``claimed_at`` is that of its newest claim, None where it waits."""

    job_id: JobId
    key: str | None
    trace: TraceContext
    status: JobState
    claimed_at: datetime | None
    completed_at: datetime | None


@frozen(kw_only=True)
class Dependants:
    """``job_ids`` are the first of so many."""

    count: int
    job_ids: tuple[JobId, ...]


@frozen(kw_only=True)
class Lineage:
    """Of some jobs, as of ``at``."""

    at: datetime
    upstream: Mapping[JobId, Relative] = field(factory=dict)
    """What they depend on; none that is gone."""
    dependants: Mapping[JobId, Dependants] = field(factory=dict)
    """Those that depend on them."""

    def relatives(self, job_ids: Iterable[JobId]) -> list[Relative]:
        """Those of the jobs that are known."""
        return [self.upstream[job_id] for job_id in job_ids if job_id in self.upstream]
