"""The seam between the stores and whatever connection carries their statements."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from schedora.adapters.postgres.errors import translated
from schedora.adapters.postgres.statements import Statement

AsyncpgConnection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"


class Row(Protocol):
    """Values are str, int, float, bool, bytes, UUID, aware datetime in UTC, lists of these, or None."""

    def __getitem__(self, column: str, /) -> Any: ...


class Session(Protocol):
    """Where statements go. Raises the application's errors in place of the driver's."""

    async def fetch(self, statement: Statement, /, **values: Any) -> Sequence[Row]:
        """The rows of one statement, its parameters given by name. None of the values may be an enum."""
        ...


class TransactionSession:
    """A transaction that is open on an asyncpg connection, and that somebody else ends."""

    def __init__(self, connection: AsyncpgConnection, where: str) -> None:
        self._connection = connection
        self._where = where

    async def fetch(self, statement: Statement, /, **values: Any) -> Sequence[Row]:
        with translated(self._where):
            return await self._connection.fetch(statement.text, *statement.arguments(**values))
