"""Callers' own connections: what is done through them happens if and only if their transaction commits.

Known by the names of their classes, so that none of these libraries needs to be installed. Synchronous
connections get sessions whose coroutines never wait: they run to their end in one step.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType
from typing import Any
from uuid import UUID

from schedora.adapters.postgres.errors import translated
from schedora.adapters.postgres.session import Row, Session, TransactionSession
from schedora.adapters.postgres.statements import Statement

_WHERE = "the database of the given connection"
_IDLE = 0  # libpq's PQTRANS_IDLE: no transaction is open


def session_on(connection: Any) -> Session:
    """A session within the transaction that is open on ``connection``.

    Raises ``TypeError`` for a connection of another kind, ``ValueError`` where no transaction is open and none
    begins by itself.
    """
    for kind in type(connection).__mro__:
        make = _KINDS.get((kind.__module__.partition(".")[0], kind.__name__))
        if make is not None:
            with translated(_WHERE):
                return make(connection)
    raise TypeError(
        f"a {type(connection).__module__}.{type(connection).__qualname__} can't carry jobs: give a connection of "
        "asyncpg, psycopg or psycopg2, or a connection or session of SQLAlchemy on one of these"
    )


def _asyncpg(connection: Any) -> Session:
    if not connection.is_in_transaction():
        raise _no_transaction("async with connection.transaction(): ...")
    return TransactionSession(connection, _WHERE)


def _psycopg_async(connection: Any) -> Session:
    _check_libpq(connection)
    return _PsycopgAsync(connection)


def _psycopg(connection: Any) -> Session:
    _check_libpq(connection)
    return _Psycopg(connection)


def _psycopg2(connection: Any) -> Session:
    _check_libpq(connection)
    return _Psycopg2(connection)


def _sqlalchemy_async(connection: Any) -> Session:
    _driver(connection)
    return _SqlalchemyAsync(connection)


def _sqlalchemy(connection: Any) -> Session:
    _driver(connection)
    return _Sqlalchemy(connection)


_KINDS: Mapping[tuple[str, str], Callable[[Any], Session]] = MappingProxyType(
    {
        ("asyncpg", "Connection"): _asyncpg,
        ("asyncpg", "PoolConnectionProxy"): _asyncpg,
        ("psycopg", "AsyncConnection"): _psycopg_async,
        ("psycopg", "Connection"): _psycopg,
        ("psycopg2", "connection"): _psycopg2,
        ("sqlalchemy", "AsyncConnection"): _sqlalchemy_async,
        ("sqlalchemy", "AsyncSession"): _sqlalchemy_async,
        ("sqlalchemy", "async_scoped_session"): _sqlalchemy_async,
        ("sqlalchemy", "Connection"): _sqlalchemy,
        ("sqlalchemy", "Session"): _sqlalchemy,
        ("sqlalchemy", "scoped_session"): _sqlalchemy,
    }
)


def _check_libpq(connection: Any) -> None:
    if connection.autocommit and connection.info.transaction_status == _IDLE:
        raise _no_transaction("leave autocommit off, or use `with connection.transaction(): ...`")


def _check_sqlalchemy(connection: Any) -> None:
    if connection is not None and connection.connection.dbapi_connection.autocommit:
        raise _no_transaction("leave the isolation level AUTOCOMMIT off")


def _no_transaction(remedy: str) -> ValueError:
    return ValueError(f"no transaction is open on the given connection, so nothing could be undone: {remedy}")


class _PsycopgAsync:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, statement: Statement, /, **values: Any) -> Sequence[Row]:
        with translated(_WHERE):
            async with self._connection.cursor(row_factory=_tuples) as cursor:
                await cursor.execute(_percent(statement.text), _named(statement, values))
                columns = _columns(cursor)
                return _rows(columns, await cursor.fetchall()) if columns else []


class _Psycopg:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, statement: Statement, /, **values: Any) -> Sequence[Row]:
        with translated(_WHERE), self._connection.cursor(row_factory=_tuples) as cursor:
            cursor.execute(_percent(statement.text), _named(statement, values))
            columns = _columns(cursor)
            return _rows(columns, cursor.fetchall()) if columns else []


class _Psycopg2:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, statement: Statement, /, **values: Any) -> Sequence[Row]:
        from psycopg2 import extensions  # noqa: PLC0415 - optional, and present: the caller's connection is its own

        uuid = extensions.new_type((2950,), "UUID", _uuid)
        uuids = extensions.new_array_type((2951,), "UUID[]", uuid)
        # The plain cursor, whatever cursor the connection is set to make.
        with translated(_WHERE), self._connection.cursor(cursor_factory=extensions.cursor) as cursor:
            extensions.register_type(uuid, cursor)
            extensions.register_type(uuids, cursor)
            cursor.execute(_percent(statement.text), _adapted(_named(statement, values)))
            columns = _columns(cursor)
            return _rows(columns, cursor.fetchall()) if columns else []


class _SqlalchemyAsync:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, statement: Statement, /, **values: Any) -> Sequence[Row]:
        with translated(_WHERE):
            connection = self._connection
            if not hasattr(connection, "exec_driver_sql"):  # a session, which gives its connection
                connection = await connection.connection()
            _check_sqlalchemy(connection.sync_connection)
            result = await connection.exec_driver_sql(*_driver_call(_driver(connection), statement, values))
            return _rows(list(result.keys()), result.all()) if result.returns_rows else []


class _Sqlalchemy:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, statement: Statement, /, **values: Any) -> Sequence[Row]:
        with translated(_WHERE):
            connection = self._connection
            if not hasattr(connection, "exec_driver_sql"):  # a session, which gives its connection
                connection = connection.connection()
            _check_sqlalchemy(connection)
            result = connection.exec_driver_sql(*_driver_call(_driver(connection), statement, values))
            return _rows(list(result.keys()), result.all()) if result.returns_rows else []


def _driver(connection: Any) -> str:
    """The driver that SQLAlchemy uses. Raises ``TypeError`` for one that is not supported."""
    bind = connection.get_bind() if hasattr(connection, "get_bind") else connection
    dialect, driver = bind.dialect.name, bind.dialect.driver
    if dialect != "postgresql" or driver not in {"asyncpg", "psycopg", "psycopg_async", "psycopg2"}:
        raise TypeError(
            f"a SQLAlchemy connection over {dialect}+{driver} can't carry jobs: use postgresql+asyncpg, "
            "postgresql+psycopg or postgresql+psycopg2"
        )
    return str(driver)


def _driver_call(driver: str, statement: Statement, values: dict[str, Any]) -> tuple[str, Any]:
    if driver == "asyncpg":
        return statement.text, statement.arguments(**values)
    arguments = _named(statement, values)
    return _percent(statement.text), _adapted(arguments) if driver == "psycopg2" else arguments


@cache
def _percent(text: str) -> str:
    """``$1`` as ``%(p1)s``, for drivers that number parameters themselves."""
    return re.sub(r"\$(\d+)", r"%(p\1)s", text.replace("%", "%%"))


def _named(statement: Statement, values: dict[str, Any]) -> dict[str, Any]:
    return {f"p{n}": value for n, value in enumerate(statement.arguments(**values), start=1)}


def _adapted(arguments: dict[str, Any]) -> dict[str, Any]:
    """For psycopg2, which knows neither UUIDs nor bytes until somebody tells it; the statement casts texts."""
    return {name: _adapted_value(value) for name, value in arguments.items()}


def _adapted_value(value: Any) -> Any:
    if isinstance(value, list):
        return [_adapted_value(element) for element in value]
    if isinstance(value, UUID):
        return str(value)
    return "\\x" + value.hex() if isinstance(value, bytes) else value


def _uuid(value: Any, _cursor: object) -> UUID | None:
    """A psycopg2 typecaster."""
    return None if value is None else UUID(value)


def _tuples(_cursor: Any) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """A psycopg row factory: rows as they come, whatever the connection is set to make of them."""
    return tuple


def _columns(cursor: Any) -> list[str]:
    """None after a statement that answers nothing."""
    return [column.name for column in cursor.description or ()]


def _rows(columns: list[str], rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, map(_plain, row), strict=True)) for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(element) for element in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC)  # drivers show an instant in the session's time zone
    return bytes(value) if isinstance(value, memoryview) else value
