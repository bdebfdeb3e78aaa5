"""What an outcome makes of its job: the rules are the domain's, time and chance are this worker's."""

from collections.abc import Callable
from datetime import datetime, timedelta

from schedora.application.pipeline.store_time import StoreTime
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion, settle
from schedora.domain.outcome import Outcome, Succeeded


class Settle:
    """Changes nothing and asks nobody: a value goes in, a value comes out."""

    def __init__(
        self, *, store_time: StoreTime, unit_random: Callable[[], float], worker_deaths_max: int
    ) -> None:
        self._store_time = store_time
        self._unit_random = unit_random
        self._worker_deaths_max = worker_deaths_max

    def __call__(
        self, job: ClaimedJob, outcome: Outcome, *, started_at: datetime | None, at: timedelta
    ) -> Completion:
        """The completion of a job that ended at ``at``, on the monotonic clock."""
        ended_at = self._store_time.at(at)
        if started_at is not None and ended_at < started_at:  # the store's clock was set back
            ended_at = started_at
        return self.ended(job, outcome, started_at=started_at, ended_at=ended_at)

    def ended(
        self, job: ClaimedJob, outcome: Outcome, *, started_at: datetime | None, ended_at: datetime
    ) -> Completion:
        """The completion of a job that ended at ``ended_at``, on the store's clock."""
        return settle(
            job,
            outcome,
            started_at=started_at,
            ended_at=ended_at,
            # Successes are many and need no chance.
            unit_random=0.0 if isinstance(outcome, Succeeded) else self._unit_random(),
            worker_deaths_max=self._worker_deaths_max,
        )
