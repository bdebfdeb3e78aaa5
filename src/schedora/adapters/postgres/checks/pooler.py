"""Whether a pooler stands before the server, by what connections see of the server's sessions.

A pooler makes up the process id that it tells each client, for clients cancel by it. And where it hands sessions on from
transaction to transaction, one that one client has just used is given to the next that asks: two clients then see one session.
"""

from typing import TYPE_CHECKING

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.errors import translated
from schedora.diagnosis.doctor.pooler import Pooler

if TYPE_CHECKING:
    import asyncpg

_TRIES = 3


async def pooler(database: Database) -> Pooler:
    """Over connections of its own. Raises ``StoreUnavailable``."""
    one = await database.connect()
    try:
        with translated(database.description):
            pid = await _pid(one)
            between = pid != one.get_server_pid()
            told = one.get_settings().server_version
            version: str = await one.fetchval("select current_setting('server_version')")
        return Pooler(
            said=database.pooled,
            between=between,
            shared=await _shared(database, one) if between else False,
            told_version=told,
            version=version,
        )
    finally:
        one.terminate()


async def _shared(database: Database, one: "asyncpg.Connection[asyncpg.Record]") -> bool | None:
    """None where it was not seen, which in the midst of much traffic proves nothing."""
    other = await database.connect()
    try:
        with translated(database.description):
            for _ in range(_TRIES):
                if await _pid(one) == await _pid(other):
                    return True
    finally:
        other.terminate()
    return None


async def _pid(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    pid: int = await connection.fetchval("select pg_backend_pid()")
    return pid
