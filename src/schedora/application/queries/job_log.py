"""What the handler of a job logged."""

from attrs import frozen

from schedora.application.errors import NotFound
from schedora.application.ports.job_reader import JobReader
from schedora.application.ports.trails import Trails
from schedora.domain.ids import JobId
from schedora.domain.job_log import JobLog, LogPlace, job_log


@frozen(kw_only=True)
class ReadJobLog:
    jobs: JobReader
    trails: Trails

    async def __call__(
        self,
        job_id: JobId,
        *,
        attempt: int | None = None,
        after: LogPlace | None = None,
        tail: int | None = None,
    ) -> JobLog:
        """Asks the store twice. Raises ``NotFound``."""
        # The job first: of one that had ended by then, what has been written since is told as well.
        standing = (await self.jobs.standings([job_id])).get(job_id)
        if standing is None:
            raise NotFound("job", job_id)
        trails = await self.trails.lines_of(job_id)
        return job_log(job_id, standing.status, trails, attempt=attempt, after=after, tail=tail)
