"""What is derived from the committed jobs, so that nothing on the hot path looks at all of them."""

from bisect import bisect_left, insort
from collections import Counter
from typing import TYPE_CHECKING

from schedora.adapters.memory.ready import Ready
from schedora.domain.job import Job

if TYPE_CHECKING:
    from schedora.domain.ids import JobId
    from schedora.domain.job_state import JobState
    from schedora.domain.lease import Lease


class JobIndex:
    """Follows each committed change of a job; a new index told of every job would be equal."""

    def __init__(self) -> None:
        self.ready = Ready()
        self.leases: dict[JobId, Lease] = {}
        self.ids: list[JobId] = []
        """Ascending: oldest first."""
        self.counts: Counter[tuple[str, JobState]] = Counter()

    def follow(self, before: Job | None, after: Job | None) -> None:
        """Takes note that a job went from one value to another; None where there is none."""
        if before is not None:
            self._forget(before)
        if after is not None:
            self._note(after)
        if before is None and after is not None:
            insort(self.ids, after.job_id)
        if before is not None and after is None:
            del self.ids[bisect_left(self.ids, before.job_id)]

    def _note(self, job: Job) -> None:
        self.counts[job.request.queue, job.status] += 1
        if job.claimable:
            self.ready.add(job)
        if job.lease is not None:
            self.leases[job.job_id] = job.lease

    def _forget(self, job: Job) -> None:
        self.counts[job.request.queue, job.status] -= 1
        if job.claimable:
            self.ready.remove(job)
        if job.lease is not None:
            del self.leases[job.job_id]
