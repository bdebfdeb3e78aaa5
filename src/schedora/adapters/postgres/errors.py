"""Foreign errors, translated at the border: what a driver raises becomes an error of the application.

One table, most specific first, by SQLSTATE, which all drivers tell. What is not in it is a programmer's error and
passes as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from schedora.application.errors import (
    ApplicationError,
    LockConflict,
    SchemaMismatch,
    StoreRefuses,
    StoreUnavailable,
)

MIGRATE = "run: schedora migrate"
NAME_POOLER = "add ?pgbouncer=true to DATABASE_URL, or set DATABASE_DIRECT_URL"

_BY_SQLSTATE: tuple[tuple[str, type[ApplicationError], str], ...] = (
    ("08", StoreUnavailable, "the connection to {where} broke"),
    ("28", StoreRefuses, "{where} refuses the user or the password"),
    ("3D000", StoreRefuses, "{where} does not exist"),
    ("40", LockConflict, "transactions at {where} got in each other's way"),
    ("25006", StoreUnavailable, "{where} takes no writes"),
    ("3F000", SchemaMismatch, f"{{where}} has no tables; {MIGRATE}"),
    ("42P01", SchemaMismatch, f"a table is missing at {{where}}; {MIGRATE}"),
    ("42P07", SchemaMismatch, "{where} has a table of another program where one of Schedora's should be"),
    ("42501", StoreRefuses, "{where} does not allow it to this user"),
    ("42703", SchemaMismatch, f"a column is missing at {{where}}; {MIGRATE}"),
    ("53", StoreUnavailable, "{where} is out of resources"),
    ("55P03", LockConflict, "{where} has a lock that was not to be had in time"),
    ("57014", StoreUnavailable, "{where} canceled a statement that took too long"),
    ("57P", StoreUnavailable, "{where} is starting or stopping"),
    ("58", StoreUnavailable, "{where} has trouble with its own system"),
)

_CLOSED_CONNECTION = ("closed", "closing", "released back to the pool")


class translated:  # noqa: N801 - read as a verb
    """Raises application errors in place of a driver's, the cause kept. ``where`` names the database."""

    # Not a generator, which takes its time, and no statement goes past this.
    __slots__ = ("_where",)

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        """Nothing to do yet."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, ApplicationError):
            known = translation(error, self._where)
            if known is not None:
                raise known from error


@contextmanager
def connecting_to(where: str) -> Iterator[None]:
    """As ``translated``; and whatever stands in the way of a connection makes the store unavailable."""
    try:
        with translated(where):
            yield
    except StoreUnavailable as error:
        if settings_refused(error):
            reason = _one_line(
                f"a pooler stands before {where}; {NAME_POOLER}", _original(error.__cause__ or error)
            )
            raise StoreUnavailable(reason) from error.__cause__
        raise
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, ValueError) as error:
        raise StoreUnavailable(_one_line(f"{where} can't be reached", error)) from error


def settings_refused(error: StoreUnavailable) -> bool:
    """Whether something before the server takes no settings at the start of a session, as PgBouncer doesn't unless it is told to."""
    # It says all that it has to say with one code.
    cause = _original(error.__cause__ or error)
    return isinstance(cause, asyncpg.ProtocolViolationError) and "startup parameter" in str(cause)


def translation(error: BaseException, where: str) -> ApplicationError | None:
    """The application's error for a driver's; None where there is none."""
    original = _original(error)
    state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    if isinstance(state, str):
        for prefix, kind, message in _BY_SQLSTATE:
            if state.startswith(prefix):
                return kind(_one_line(message.format(where=where), original))
        return None
    if isinstance(original, TimeoutError):
        return StoreUnavailable(f"{where} did not answer in time")
    if isinstance(original, OSError):
        return StoreUnavailable(_one_line(f"{where} can't be reached", original))
    if isinstance(original, asyncpg.InterfaceError) and any(
        part in str(original) for part in _CLOSED_CONNECTION
    ):
        return StoreUnavailable(f"the connection to {where} is closed")
    if isinstance(original, asyncpg.InternalClientError):  # the server's last words came in between
        return StoreUnavailable(_one_line(f"the connection to {where} is out of step", original))
    if type(original).__name__ == "OperationalError":  # of psycopg and psycopg2, without a state: the network
        return StoreUnavailable(_one_line(f"{where} can't be reached", original))
    return None


def _original(error: BaseException) -> BaseException:
    """The driver's own error inside of what SQLAlchemy, and its layer over asyncpg, make of it."""
    while isinstance(inner := getattr(error, "orig", None), BaseException):
        error = inner
    wrapped = type(error).__module__ == "sqlalchemy.dialects.postgresql.asyncpg"
    return error.__cause__ if wrapped and error.__cause__ is not None else error


def _one_line(message: str, error: BaseException) -> str:
    reason = " ".join(str(error).split())
    return f"{message}: {reason}" if reason else message
