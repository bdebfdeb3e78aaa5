"""What the handler of a job logged."""

from attrs import frozen

from schedora.application.errors import NotFound
from schedora.application.ports.job_reader import JobReader
from schedora.application.ports.run_logs import RunLogs
from schedora.domain.ids import JobId
from schedora.domain.job_log import JobLog, LogPlace, job_log


@frozen(kw_only=True)
class ReadJobLog:
    jobs: JobReader
    run_logs: RunLogs

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
        summary = (await self.jobs.status_summaries([job_id])).get(job_id)
        if summary is None:
            raise NotFound("job", job_id)
        run_logs = await self.run_logs.lines_of(job_id)
        return job_log(job_id, summary.status, run_logs, attempt=attempt, after=after, tail=tail)
