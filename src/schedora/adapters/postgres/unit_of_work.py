"""One transaction over the stores."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from schedora.adapters.postgres import arrays
from schedora.adapters.postgres.caller import session_on
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.jobs import PostgresJobStore
from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import Statement, load
from schedora.adapters.postgres.wakeup import CHANNEL, NOTIFY, encoded
from schedora.adapters.postgres.workflows import PostgresWorkflowStore
from schedora.application.ports.unit_of_work import Advanced
from schedora.application.ports.wakeup import Hint
from schedora.domain.completion import Completion

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


class PostgresJoinedUnitOfWork(PostgresUnitOfWork):
    async def notify(self, *, queues: Collection[str]) -> None:
        if queues:  # what is notified in a transaction is delivered at its commit
            hint = Hint(queues=frozenset(queues), shared=True)
            await self._session.fetch(NOTIFY, channel=CHANNEL, payload=encoded(hint))


class PostgresUnitOfWorkFactory:
    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PostgresUnitOfWork]:
        async with self._database.transaction() as session:
            yield PostgresUnitOfWork(session)

    async def advance(self, completions: Sequence[Completion]) -> Advanced:
        statement = load("advance")
        values = arrays.of_completions(completions)
        values["workflow_id"] = sorted(
            {one.workflow_id for one in completions if one.workflow_id is not None}
        )
        (answer,) = await self._database.fetch(statement, **values)
        if not answer["taken"]:  # others are there: once more, when they are done
            async with self._database.transaction() as session:
                await PostgresWorkflowStore(session).hold(values["workflow_id"])
                (answer,) = await session.fetch(statement, **values)
        return Advanced(accepted=frozenset(answer["accepted"]), queues=frozenset(answer["queues"]))

    @asynccontextmanager
    async def join(self, connection: object) -> AsyncIterator[PostgresJoinedUnitOfWork]:
        yield PostgresJoinedUnitOfWork(session_on(connection))
