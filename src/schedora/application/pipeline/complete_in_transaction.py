"""Complete a job inside a transaction of its handler's own: both commit, or neither."""

from schedora.application.errors import LeaseLost
from schedora.application.pipeline.complete import CompleteJobs
from schedora.application.pipeline.run import Run
from schedora.application.pipeline.settle import Settle
from schedora.application.ports.clock import Clock
from schedora.domain.ids import JsonText
from schedora.domain.outcome import Succeeded


class CompleteInTransaction:
    def __init__(self, *, complete: CompleteJobs, settle: Settle, clock: Clock) -> None:
        self._complete = complete
        self._settle = settle
        self._clock = clock

    async def __call__(self, run: Run, connection: object, result: JsonText) -> None:
        """Writes the completion of ``run``, which counts if the transaction commits. May be called from the handler's
        thread. Raises ``LeaseLost``.
        """
        if run.settled or run.stop_reason is not None:
            raise LeaseLost(f"job {run.job.job_id} is no longer held by this run")
        now = self._clock.monotonic()
        completion = self._settle(run.job, Succeeded(result=result), started_at=run.started_at, at=now)
        run.released = await self._complete.within(connection, completion)
        run.written = completion
