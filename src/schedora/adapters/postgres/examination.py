"""Looking into the database, over a connection that is nobody else's.

Each check is a transaction of its own that only reads, with limits of its own for statements and for locks: it reads
catalogs and statistics, and of Schedora's tables no more than a look-up or two. What a check leaves behind when it fails is
closed with its connection, and the next one has another.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TypeVar

import asyncpg

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.errors import settings_refused, translated
from schedora.adapters.postgres.session import Session, TransactionSession
from schedora.application.errors import StoreUnavailable
from schedora.application.ports.clock import Clock
from schedora.application.ports.examination import Check, Expected
from schedora.diagnosis.doctor.finding import Observation
from schedora.diagnosis.doctor.reach import DatabaseReach

T = TypeVar("T")

STATEMENT_PATIENCE, LOCK_PATIENCE = timedelta(seconds=2), timedelta(milliseconds=200)
_LIMITED = "; ".join(
    ["set transaction read only"]
    + [
        f"set local {name} = '{limit // timedelta(milliseconds=1)}ms'"
        for name, limit in (("statement_timeout", STATEMENT_PATIENCE), ("lock_timeout", LOCK_PATIENCE))
    ]
)


class PostgresExamination:
    def __init__(self, database: Database, clock: Clock, expected: Expected) -> None:
        self._database = database
        self._clock = clock
        self._expected = expected

    @asynccontextmanager
    async def begun(self) -> AsyncIterator[Sequence[Check]]:
        look = _Look(self._database)
        try:
            yield tuple(self._checks(look))
        finally:
            look.leave()

    def _checks(self, look: "_Look") -> Sequence[Check]:
        # Workers and programs that submit jobs examine nothing, and need not carry it.
        from schedora.adapters.postgres.checks.every import every  # noqa: PLC0415
        from schedora.adapters.postgres.checks.pooler import pooler  # noqa: PLC0415

        reads = every(pooled=self._database.pooled, clock=self._clock, expected=self._expected)
        return [
            Check("database", look.reach),
            *(Check(name, partial(look.read, read)) for name, read in reads.items()),
            Check("pooler", partial(pooler, self._database)),
        ]


class _Look:
    """One examination's connection, made when it is first needed and anew after it broke."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._problem: str | None = None
        """Why there is no connection to be had: it is not tried for every check."""

    async def reach(self) -> DatabaseReach:
        try:
            await self._connected()
        except StoreUnavailable as error:
            cause, pooler = error.__cause__, isinstance(error.__cause__, asyncpg.ProtocolViolationError)
            return DatabaseReach(
                problem=str(error),
                settings_refused=settings_refused(error),
                full=isinstance(cause, asyncpg.TooManyConnectionsError)
                or (pooler and "no more connections" in str(cause)),
            )
        return DatabaseReach()

    async def read(self, read: Callable[[Session], Awaitable[Observation]]) -> Observation:
        connection = await self._connected()
        try:
            with translated(self._database.description):
                await connection.execute(f"{self._database.begin}; {_LIMITED}")
                observation = await read(TransactionSession(connection, self._database.description))
                await connection.execute("rollback")
        except BaseException:
            self.leave()
            raise
        return observation

    def leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _connected(self) -> "asyncpg.Connection[asyncpg.Record]":
        if self._problem is not None:
            raise StoreUnavailable(self._problem)
        if self._connection is None:
            try:
                self._connection = await self._database.connect()
            except StoreUnavailable as error:
                self._problem = str(error)
                raise
        return self._connection
