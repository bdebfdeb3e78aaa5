"""One transaction over the stores."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from schedora.adapters.postgres.caller import session_on
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.jobs import PostgresJobStore, chunks
from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import Statement
from schedora.adapters.postgres.workflows import PostgresWorkflowStore
from schedora.application.ports.jobs import NewJob, Submission

# Not now(): that is when the transaction began, and a caller's may have begun long ago.
_NOW = Statement("select statement_timestamp() as at", ())


class PostgresUnitOfWork:
    def __init__(self, session: Session) -> None:
        self.jobs = PostgresJobStore(session)
        self.workflows = PostgresWorkflowStore(session)
        self._session = session
        self._now: datetime | None = None

    async def now(self) -> datetime:
        if self._now is None:
            (row,) = await self._session.fetch(_NOW)
            self._now = row["at"]
        return self._now


class PostgresUnitOfWorkFactory:
    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PostgresUnitOfWork]:
        async with self._database.transaction() as session:
            yield PostgresUnitOfWork(session)

    @asynccontextmanager
    async def join(self, connection: object) -> AsyncIterator[PostgresUnitOfWork]:
        yield PostgresUnitOfWork(session_on(connection))

    async def add(self, new_jobs: Sequence[NewJob]) -> list[Submission]:
        if sum(1 for _ in chunks(new_jobs)) <= 1:
            # One statement stores them all: it is a transaction already, and one round trip.
            return await PostgresJobStore(self._database).add(new_jobs)
        async with self.begin() as unit:
            return await unit.jobs.add(new_jobs)
