"""What runs leave beside their outcomes, kept with their jobs."""

from collections.abc import Sequence
from typing import Protocol

from schedora.domain.ids import JobId
from schedora.domain.run_log import RunLog


class RunLogs(Protocol):
    async def keep(self, run_logs: Sequence[RunLog]) -> None:
        """Each in place of what was kept of its run before; no run comes twice. Of a job, what lies ``RUNS_MAX``
        claims back is forgotten, and nothing is kept of a job that is gone.
        """
        ...

    async def lines_of(self, job_id: JobId) -> tuple[RunLog, ...]:
        """Without the spans, oldest run first; none for a job that is not there."""
        ...

    async def spans_of(self, job_ids: Sequence[JobId]) -> dict[JobId, tuple[RunLog, ...]]:
        """Without the lines, oldest run first; jobs without any run log are left out."""
        ...

    async def prune(self, *, limit: int) -> int:
        """Removes what was kept of jobs that have gone meanwhile; looks at so many at most, all of them over many
        calls. How many were removed.
        """
        ...
