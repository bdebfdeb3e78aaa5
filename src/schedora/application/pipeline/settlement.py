"""From outcomes to completions: what a handler's end means for its job, before the store is told."""

from schedora.application.pipeline.completion_buffer import CompletionBuffer
from schedora.application.pipeline.in_doubt import InDoubt
from schedora.application.pipeline.observers import Observers
from schedora.application.pipeline.outcomes import Ended, Outcomes
from schedora.application.pipeline.poll_scheduler import PollScheduler
from schedora.application.pipeline.run import Run
from schedora.application.pipeline.settle import Settle
from schedora.application.ports.clock import Clock
from schedora.domain.ids import JobId, LeaseId


class Settlement:
    """Takes from ``outcomes`` and puts into ``completions``; runs that completed inside a transaction of their handler's
    stay in doubt until the store says whether that has committed.
    """

    def __init__(
        self,
        *,
        outcomes: Outcomes,
        settle: Settle,
        completion_buffer: CompletionBuffer,
        in_doubt: InDoubt,
        observers: Observers,
        poll_scheduler: PollScheduler,
        clock: Clock,
    ) -> None:
        self._outcomes = outcomes
        self._settle = settle
        self._completion_buffer = completion_buffer
        self._in_doubt = in_doubt
        self._observers = observers
        self._poll_scheduler = poll_scheduler
        self._clock = clock

    def settle_ended(self) -> None:
        """Settles all outcomes that wait."""
        for ended in self._outcomes.take_all():
            if ended.run is not None and ended.run.written is not None:
                self._in_doubt.add(ended.run, ended.outcome)
            else:
                self._put(ended)

    async def resolve_doubt(self) -> bool:
        """Asks the store which transactions have committed, and settles the other runs. Returns whether there was any
        doubt. Raises ``StoreUnavailable``.
        """
        if not self.in_doubt:
            return False
        for run, outcome in await self._in_doubt.resolve():
            if outcome is None:
                self._committed(run)
            else:
                run.written = None
                self._put(Ended(run.job, run, outcome, self._clock.monotonic()))
        return True

    @property
    def in_doubt(self) -> bool:
        """Whether the store has to be asked."""
        return len(self._in_doubt) > 0

    @property
    def unwritten(self) -> bool:
        """Whether there are outcomes that the store is not known to have."""
        return len(self._outcomes) > 0 or len(self._completion_buffer) > 0 or self.in_doubt

    def leases(self) -> set[LeaseId]:
        """The leases that end with those outcomes."""
        return self._outcomes.leases() | self._completion_buffer.leases() | self._in_doubt.leases()

    def job_ids(self) -> set[JobId]:
        """The jobs whose outcomes those are."""
        return self._outcomes.job_ids() | self._completion_buffer.job_ids() | self._in_doubt.job_ids()

    def _put(self, ended: Ended) -> None:
        job, run, outcome, at = ended
        started_at = run.started_at if run is not None else job.started_at
        completion = self._settle(job, outcome, started_at=started_at, at=at)
        self._completion_buffer.put(job, completion, at)

    def _committed(self, run: Run) -> None:
        if run.written is not None:
            self._observers.completed([(run.job, run.written)])
        if run.released:  # others were notified by the commit
            self._poll_scheduler.hint()
