"""Where single jobs come in."""

from collections.abc import Sequence
from datetime import timedelta

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.jobs import PostgresJobStore
from schedora.application.ports.jobs import NewJob, Submission

PATIENCE = timedelta(milliseconds=250)
"""How long several jobs wait together for a key that an open transaction has taken: long enough for the commits of
others, short enough for those that have nothing to do with it.
"""


class PostgresJobIntake:
    """Each statement is a transaction of its own: nothing is begun, nothing is left to commit."""

    def __init__(self, database: Database) -> None:
        self._jobs = PostgresJobStore(database)

    async def add(self, jobs: Sequence[NewJob]) -> list[Submission]:
        return await self._jobs.add(jobs, patience=PATIENCE if len(jobs) > 1 else None)
