"""Where single jobs come in."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from schedora.adapters.postgres.duty_cycle_limiter import DutyCycleLimiter
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.jobs import PostgresJobStore
from schedora.application.commands.created import all_later, queues_to_notify
from schedora.application.ports.jobs import NewJob, Submission
from schedora.application.ports.wakeup import EnclosedWakeup
from schedora.application.ports.worker_availability import NobodyAvailable, WorkerAvailability

PATIENCE = timedelta(milliseconds=250)
"""How long several jobs wait together for a key that an open transaction has taken: long enough for the commits of
others, short enough for those that have nothing to do with it.
"""

MATCHED_REST = 4
"""A job that is matched needs no claim: it is worth more than a hint that goes with the commit."""

_LOOK_SECONDS_MAX = 0.005
"""A look for jobs that go before takes longer than this only where it walks over thousands that are gone, as when a
transaction is held open. It does so for as long as that lasts, and more and more.
"""
_LOOK_REST = 200
"""So rare is such a look: nobody should wait for it who submits."""


class PostgresJobWriter:
    """Each statement is a transaction of its own: nothing is begun, nothing is left to commit."""

    def __init__(
        self,
        database: Database,
        wakeup: EnclosedWakeup,
        availability: WorkerAvailability | None = None,
        *,
        monotonic_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs = PostgresJobStore(database)
        self._wakeup = wakeup
        self._availability = availability or NobodyAvailable()
        self._duty_cycle_limiter = DutyCycleLimiter(monotonic_seconds, rest=MATCHED_REST)

    async def add(self, jobs: Sequence[NewJob]) -> list[Submission]:
        if len(jobs) > 1:
            return self._notified_for(await self._jobs.add(jobs, patience=PATIENCE))
        if (matched := await self._matched(jobs[0])) is not None:
            return [matched]
        with self._wakeup.within(queues=queues_to_notify(jobs), later=all_later(jobs)) as hint:
            submissions = await self._jobs.add(jobs, hint=hint)
        return submissions if hint is not None else self._notified_for(submissions)

    async def _matched(self, new: NewJob) -> Submission | None:
        """None where no idle worker offers to start it at once, or where it takes more than the shortest way."""
        request = new.request
        if (
            request.scheduled_at is not None
            or request.workflow_id is not None
            or not self._duty_cycle_limiter.due
        ):
            return None
        available = await self._availability.take(queue=request.queue, job_type=request.type)
        if available is None:
            return None
        with self._duty_cycle_limiter.spent():
            added = await self._jobs.add_sync_matched(new, available.owner)
        if added is None:
            return None
        if added.looked_seconds > _LOOK_SECONDS_MAX:
            self._duty_cycle_limiter.rest(_LOOK_REST * added.looked_seconds)
        if not added.matched:
            self._notified_for([added.submission])
        return added.submission

    def _notified_for(self, submissions: list[Submission]) -> list[Submission]:
        created = [one.new for one in submissions if one.created]
        self._wakeup.notify(queues=queues_to_notify(created), later=all_later(created))
        return submissions
