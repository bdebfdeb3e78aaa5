"""The runs of one worker: what they report, when they must end, and how they are stopped."""

import asyncio
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import timedelta

import attrs
from attrs import frozen

from schedora.application.log import Logger
from schedora.application.pipeline.execute import stopped
from schedora.application.pipeline.outcomes import Outcomes
from schedora.application.pipeline.run import Run, StopReason
from schedora.application.pipeline.run_log_flusher import LiveRunLog
from schedora.application.pipeline.store_time import StoreTime
from schedora.application.ports.clock import Clock
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import JsonText, LeaseId
from schedora.domain.outcome import Failed, Outcome, TimedOut

log = Logger("schedora.worker")

GRACE = timedelta(seconds=5)
"""How long a handler that was asked to stop may clean up before its job goes on without it."""


@frozen(kw_only=True)
class RunOutput:
    """Takes what a run leaves beside its outcome. May be called from any thread."""

    run_log: Callable[[LiveRunLog], None]
    """Called whenever a run has added to its log."""
    span: Callable[[JsonText], None] | None = None
    """Called with each span that is kept."""


class Runs:
    """From the moment that a job gets a slot until its handler has ended. Outcomes go into ``outcomes``, once for each
    run, as soon as they are decided. ``changed`` is set whenever the worker's loop may have something to do.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        store_time: StoreTime,
        outcomes: Outcomes,
        output: RunOutput,
        changed: asyncio.Event,
    ) -> None:
        self.running: dict[LeaseId, Run] = {}
        """All that hold a slot, in the order of their beginnings."""
        self.durations: list[timedelta] = []
        """How long the runs took that ended since this list was last emptied."""
        self.unlocked: list[Run] = []
        """Runs with a lock that were settled since this list was last emptied."""
        self.next_deadline: timedelta | None = None
        """When ``enforce_deadlines`` has something to do next, on the monotonic clock."""
        self.loop = asyncio.get_running_loop()
        self._clock = clock
        self._store_time = store_time
        self._outcomes = outcomes
        self._output = output
        self._changed = changed
        self._unsent: dict[LeaseId, Run] = {}

    @property
    def unsent(self) -> list[Run]:
        """Runs whose start or newest report the store does not have yet.

        Those that completed in a transaction of their handler's are in that transaction's hands.
        """
        return [run for run in self._unsent.values() if run.written is None]

    @property
    def unsettled(self) -> int:
        return sum(not run.settled for run in self.running.values())

    def held(self) -> set[LeaseId]:
        """The leases of runs that are not settled."""
        return {lease_id for lease_id, run in self.running.items() if not run.settled}

    def begin(self, job: ClaimedJob, now: timedelta, *, stoppable: bool) -> Run:
        run = Run(
            job,
            started_at=job.started_at or self._store_time.at(now),
            began=now,
            on_run_log=self._output.run_log,
            on_span=self._output.span,
        )
        run.stoppable = stoppable
        self.running[job.lease_id] = run
        if not run.recorded:
            self._unsent[job.lease_id] = run
        self._look_at(run.deadline)
        return run

    def end(self, run: Run, outcome: Outcome | None, now: timedelta) -> None:
        """The handler has ended, one way or the other: its slot is free."""
        del self.running[run.job.lease_id]
        if not run.settled:
            self.durations.append(now - run.began)
            self._settle(run, outcome, now)
        self._changed.set()

    def report(self, run: Run, progress: JsonText) -> None:
        """Notes how far a run is."""
        if not run.settled:
            run.progress = progress
            self._unsent[run.job.lease_id] = run
            self._changed.set()

    def sent(self, run: Run, progress: JsonText | None) -> None:
        """The store knows that the run has started, and this report of progress."""
        if not run.recorded:
            run.job = attrs.evolve(run.job, started_at=run.started_at)
        if run.progress == progress:
            run.progress = None
            self._unsent.pop(run.job.lease_id, None)

    def lose(self, leases: AbstractSet[LeaseId]) -> None:
        """Stops the runs under leases that are gone; no outcome of theirs counts any more."""
        for lease_id in leases & self.running.keys():
            run = self.running[lease_id]
            if not run.settled and run.written is None:
                self._settle(run, None, self._clock.monotonic())
                run.stop(StopReason.LEASE_LOST)
                run.give_up_at = self._clock.monotonic() + GRACE
                log.warning("lease lost, handler stopped", job_id=str(run.job.job_id), job_type=run.job.type)

    def stop_all(self, reason: StopReason) -> None:
        """Asks every run to end; those that can't be stopped are settled at once."""
        for run in list(self.running.values()):
            self._stop(run, reason)

    def stuck(self) -> list[Run]:
        """Those whose handler was asked to stop, has had its grace, and has not ended: each keeps its slot, though its
        job is settled. May be called from any thread.
        """
        now = self._clock.monotonic()
        return [
            run
            for run in list(self.running.values())
            if run.settled and run.give_up_at is not None and now >= run.give_up_at
        ]

    def stuck_threads(self) -> int:
        """How many of those are threads, which nothing can end but the end of the process."""
        return sum(not run.stoppable for run in self.stuck())

    def enforce_deadlines(self, now: timedelta) -> None:
        """Stops what has run for too long, settles what does not stop."""
        for run in list(self.running.values()):
            if run.settled:
                continue
            if run.stop_reason is None and now >= run.deadline:
                self._stop(run, StopReason.TIMED_OUT)
            elif run.give_up_at is not None and now >= run.give_up_at:
                log.error("handler does not stop; its job goes on without it", job_id=str(run.job.job_id))
                self._settle(run, stopped(run), now)
        pending = [run.give_up_at or run.deadline for run in self.running.values() if not run.settled]
        self.next_deadline = min(pending, default=None)

    def _stop(self, run: Run, reason: StopReason) -> None:
        if run.settled or run.stop_reason is not None:
            return
        run.stop(reason)
        run.give_up_at = self._clock.monotonic() + GRACE
        if run.stoppable:
            self._look_at(run.give_up_at)
        else:
            job = run.job
            log.warning(
                "a thread can't be stopped; its job goes on without it",
                job_id=str(job.job_id),
                job_type=job.type,
            )
            self._settle(run, stopped(run), self._clock.monotonic())

    def _settle(self, run: Run, outcome: Outcome | None, now: timedelta) -> None:
        run.settled = True
        self._unsent.pop(run.job.lease_id, None)
        if run.locked:
            self.unlocked.append(run)
        if run.held_spans is not None and isinstance(outcome, Failed | TimedOut):
            run.keep_held_spans()
        if outcome is not None:
            self._outcomes.put(run.job, run, outcome, now)

    def _look_at(self, deadline: timedelta) -> None:
        if self.next_deadline is None or deadline < self.next_deadline:
            self.next_deadline = deadline
