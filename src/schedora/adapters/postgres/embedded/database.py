"""The database that Schedora finds on a running server, and how to reach it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import asyncpg

from schedora.adapters.postgres.embedded.errors import EmbeddedUnavailable
from schedora.adapters.postgres.embedded.pidfile import ServerNote

ROLE = "schedora"
DATABASE = "schedora"

_ANSWER_SECONDS_MAX = 5.0
# What a server says that is starting, stopping, crashing or full: it may be there a moment later.
_NOT_NOW = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg makes of a connection that ends at certain moments
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
)


def url(note: ServerNote) -> str:
    """Return where the database is, as a URL that asyncpg and psycopg take."""
    if note.host.startswith("/"):
        return f"postgresql://{ROLE}@/{DATABASE}?host={quote(note.host)}&port={note.port}"
    return f"postgresql://{ROLE}@{note.host}:{note.port}/{DATABASE}"


def answers(note: ServerNote) -> bool:
    """Whether the server takes connections; then the database is there too. Raises EmbeddedUnavailable."""
    # In a thread of its own, as the caller may have an event loop running.
    with ThreadPoolExecutor(1) as thread:
        try:
            thread.submit(asyncio.run, _ensure_database(note)).result()
        except _NOT_NOW:
            return False
        except asyncpg.PostgresError as error:
            raise EmbeddedUnavailable(f"the PostgreSQL server at {note.host} refuses us: {error}") from error
    return True


async def _ensure_database(note: ServerNote) -> None:
    connection = await asyncpg.connect(
        host=note.host, port=note.port, user=ROLE, database="postgres", timeout=_ANSWER_SECONDS_MAX
    )
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close(timeout=_ANSWER_SECONDS_MAX)
