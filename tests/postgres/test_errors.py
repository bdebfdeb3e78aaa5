"""What the drivers raise, in the application's words."""

import asyncio

import asyncpg
import psycopg
import pytest
import sqlalchemy

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.errors import translation
from schedora.adapters.postgres.statements import Statement
from schedora.application.errors import (
    ApplicationError,
    LockConflict,
    SchemaMismatch,
    StoreRefuses,
    StoreUnavailable,
)

WHERE = "the database x"


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (asyncpg.DeadlockDetectedError("deadlock detected"), LockConflict, "got in each other's way"),
        (asyncpg.SerializationError("could not serialize"), LockConflict, "got in each other's way"),
        (asyncpg.UndefinedTableError("no jobs"), SchemaMismatch, "run: schedora migrate"),
        (asyncpg.AdminShutdownError("terminating"), StoreUnavailable, "starting or stopping"),
        (asyncpg.TooManyConnectionsError("sorry"), StoreUnavailable, "out of resources"),
        (asyncpg.QueryCanceledError("timeout"), StoreUnavailable, "took too long"),
        (asyncpg.InterfaceError("connection is closed"), StoreUnavailable, "is closed"),
        (asyncpg.InternalClientError("cannot switch to state 12"), StoreUnavailable, "out of step"),
        (
            psycopg.OperationalError("server closed\nthe connection"),
            StoreUnavailable,
            "server closed the conn",
        ),
        (psycopg.errors.DeadlockDetected("deadlock"), LockConflict, "got in each other's way"),
        (
            asyncpg.LockNotAvailableError("lock timeout"),
            LockConflict,
            "a lock that was not to be had in time",
        ),
        (
            asyncpg.DiskFullError("could not extend file"),
            StoreUnavailable,
            "out of resources: could not extend",
        ),
        (asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT"), StoreUnavailable, "takes no writes"),
        (asyncpg.CannotConnectNowError("starting up"), StoreUnavailable, "starting or stopping"),
        (asyncpg.InvalidPasswordError("no"), StoreRefuses, "refuses the user or the password"),
        (asyncpg.InvalidCatalogNameError("no"), StoreRefuses, "does not exist"),
        (asyncpg.InsufficientPrivilegeError("no"), StoreRefuses, "does not allow it to this user"),
        (TimeoutError(), StoreUnavailable, "did not answer in time"),
        (ConnectionRefusedError(111, "Connection refused"), StoreUnavailable, "Connection refused"),
        (
            sqlalchemy.exc.DBAPIError("select", {}, asyncpg.AdminShutdownError("bye")),
            StoreUnavailable,
            "starting or stopping",
        ),
    ],
)
def test_known_errors_have_a_meaning(error: Exception, kind: type[ApplicationError], said: str) -> None:
    known = translation(error, WHERE)
    assert type(known) is kind
    assert WHERE in str(known)
    assert said in str(known)
    assert "\n" not in str(known)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a mistake"),
        asyncpg.SyntaxOrAccessError("syntax error"),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
    ],
)
def test_mistakes_of_the_program_pass_as_they_are(error: Exception) -> None:
    assert translation(error, WHERE) is None


async def test_a_connection_out_of_step_is_not_used_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Database(database_url, pool_size=1, max_overflow=0) as database:
        me = Statement("select pg_backend_pid() as pid", ())
        (first,) = await database.fetch(me)

        async def out_of_step(*_: object, **__: object) -> None:
            await asyncio.sleep(0)
            raise asyncpg.InternalClientError(
                "cannot switch to state 12; another operation (2) is in progress"
            )

        with monkeypatch.context() as patch:
            patch.setattr(asyncpg.Connection, "_execute", out_of_step)
            with pytest.raises(StoreUnavailable, match="out of step"):
                await database.fetch(me)
        (second,) = await database.fetch(me)
        assert second["pid"] != first["pid"]
