"""Where single jobs come in."""

from collections.abc import Sequence
from datetime import timedelta

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.jobs import PostgresJobStore
from schedora.application.commands.created import all_later, queues_to_ring
from schedora.application.ports.jobs import NewJob, Submission
from schedora.application.ports.wakeup import EnclosedWakeup

PATIENCE = timedelta(milliseconds=250)
"""How long several jobs wait together for a key that an open transaction has taken: long enough for the commits of
others, short enough for those that have nothing to do with it.
"""


class PostgresJobIntake:
    """Each statement is a transaction of its own: nothing is begun, nothing is left to commit."""

    def __init__(self, database: Database, wakeup: EnclosedWakeup) -> None:
        self._jobs = PostgresJobStore(database)
        self._wakeup = wakeup

    async def add(self, jobs: Sequence[NewJob]) -> list[Submission]:
        if len(jobs) > 1:
            return self._rung_for(await self._jobs.add(jobs, patience=PATIENCE))
        with self._wakeup.within(queues=queues_to_ring(jobs), later=all_later(jobs)) as hint:
            submissions = await self._jobs.add(jobs, hint=hint)
        return submissions if hint is not None else self._rung_for(submissions)

    def _rung_for(self, submissions: list[Submission]) -> list[Submission]:
        created = [one.new for one in submissions if one.created]
        self._wakeup.ring(queues=queues_to_ring(created), later=all_later(created))
        return submissions
