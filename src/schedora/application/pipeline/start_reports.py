"""What the store is told of jobs that run: that they have started, and how far they are."""

from collections.abc import Collection, Sequence
from datetime import timedelta

from schedora.application.pipeline.handler_pool import HandlerPool
from schedora.application.pipeline.publish import publish_started
from schedora.application.pipeline.run import Run
from schedora.application.pipeline.store_time import StoreTime
from schedora.application.ports.clock import Clock
from schedora.application.ports.events import Events
from schedora.application.ports.job_queue import Start
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import LeaseId


class StartReports:
    """Starts are sent after ``flush``, for a job may end sooner, and progress every ``report`` at most. The start of a
    suspect is sent before it runs.
    """

    def __init__(
        self,
        *,
        pool: HandlerPool,
        store_time: StoreTime,
        events: Events,
        clock: Clock,
        flush: timedelta,
        report: timedelta,
    ) -> None:
        self._pool = pool
        self._store_time = store_time
        self._events = events
        self._clock = clock
        self._flush = flush
        self._report = report
        self._report_at = clock.monotonic()

    def due(self) -> list[Start]:
        now = self._clock.monotonic()
        suspects = self._pool.call_suspects()
        starts = [
            Start(
                job_id=run.job.job_id,
                lease_id=run.job.lease_id,
                started_at=run.started_at,
                progress=run.progress,
            )
            for run in self._pool.runs.unsent
            if now >= self._due_at(run)
        ]
        if suspects:
            at = self._store_time.at(now)
            starts += [
                Start(
                    job_id=job.job_id,
                    lease_id=job.lease_id,
                    started_at=self._pool.start_of_suspect(job, at),
                )
                for job in suspects
            ]
        return starts

    def moments(self) -> list[timedelta]:
        """When each that was not sent will be due, on the monotonic clock."""
        return [self._due_at(run) for run in self._pool.runs.unsent]

    def answered(self, starts: Sequence[Start], accepted: Collection[LeaseId]) -> None:
        """Notes what the store knows by now, runs suspects whose start is on record, and stops runs whose lease is gone."""
        if not starts:
            return
        begun: list[ClaimedJob] = []
        for start in starts:
            if start.lease_id not in accepted:
                continue
            if (run := self._pool.runs.running.get(start.lease_id)) is not None:
                known = run.recorded or run.settled  # the end of what has ended implies its start
                self._pool.runs.sent(run, start.progress)
                if not known:
                    begun.append(run.job)
            elif (suspect := self._pool.start_suspect(start.lease_id, start.started_at)) is not None:
                begun.append(suspect)
        publish_started(self._events, begun)
        self._report_at = self._clock.monotonic() + self._report
        lost = {start.lease_id for start in starts if start.lease_id not in accepted}
        self._pool.lose(lost & self._pool.held())

    def _due_at(self, run: Run) -> timedelta:
        return self._report_at if run.recorded else run.began + self._flush
