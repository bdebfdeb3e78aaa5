"""The schema: brought up to date, and recognised.

The revisions are numbered in order. One that this version does not know is newer than it. Then the schema itself says whether
this version may work on it: since which revision all that came only added to it. Otherwise this version keeps its hands off.
"""

import asyncio
from typing import NamedTuple

import asyncpg

from schedora.adapters.postgres.errors import MIGRATE, connecting_to, translated
from schedora.adapters.postgres.location import Location
from schedora.adapters.postgres.session import Session, TransactionSession
from schedora.adapters.postgres.statements import Statement
from schedora.application.errors import SchemaMismatch

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011")
"""Those that this version knows, oldest first; it works on the last one."""

VERSION_TABLE = "schedora_version"
"""Which revision of the schema this is. Not Alembic's usual name, which a program's own tables may have taken."""

COMPATIBILITY_TABLE = "schema_compatibility"
"""The oldest revision that code must know to work here. A migration that takes away, or changes the meaning of, what the release
before goes by sets this to the revision that made it dispensable; all others leave it as it is.
"""

CONNECT_TIMEOUT_SECONDS = 10.0

_TABLES = Statement(
    f"select to_regclass('{VERSION_TABLE}') is not null as versioned,"
    f" to_regclass('{COMPATIBILITY_TABLE}') is not null as compatible",
    (),
)
_REVISION = Statement(f"select version_num as revision from {VERSION_TABLE}", ())  # noqa: S608 - a constant
_SINCE = Statement(f"select since from {COMPATIBILITY_TABLE}", ())  # noqa: S608 - a constant


class StoredSchema(NamedTuple):
    """What a database says of its schema."""

    revision: str | None = None
    """None where there are no tables yet."""
    compatible_since: str | None = None
    """The oldest revision that code must know to work on it. None where it does not say: then it must know all."""

    @property
    def usable(self) -> bool:
        """Whether this version may work on it."""
        if self.revision in REVISIONS:
            return self.revision == REVISIONS[-1]
        return self.revision is not None and self.compatible_since in REVISIONS


def verify(url: str) -> None:
    """Raises ``SchemaMismatch`` with one line unless this version may work on the schema; ``StoreUnavailable``. Must not be
    called on an event loop.
    """
    check(asyncio.run(stored_at(Location.parse(url))))


def reach(url: str) -> None:
    """Raises ``StoreUnavailable`` unless the database is there and answers, whatever its schema is; ``StoreRefuses`` where it
    will not get better by itself. Must not be called on an event loop.
    """
    asyncio.run(stored_at(Location.parse(url)))


async def check_schema(session: Session) -> None:
    """As ``verify``, on an event loop."""
    check(await stored_in(session))


async def stored_in(session: Session) -> StoredSchema:
    (tables,) = await session.fetch(_TABLES)
    revisions = await session.fetch(_REVISION) if tables["versioned"] else ()
    since = await session.fetch(_SINCE) if tables["compatible"] else ()
    return StoredSchema(
        revision=revisions[0]["revision"] if revisions else None,
        compatible_since=since[0]["since"] if since else None,
    )


async def connect(location: Location) -> "asyncpg.Connection[asyncpg.Record]":
    """Without prepared statements, so that it works behind any pooler. Raises the driver's errors."""
    timeout = location.connect_timeout
    seconds = timeout.total_seconds() if timeout else CONNECT_TIMEOUT_SECONDS
    return await asyncpg.connect(location.url, timeout=seconds, statement_cache_size=0)


async def stored_at(location: Location) -> StoredSchema:
    """What the database there says. Raises ``StoreUnavailable``, ``StoreRefuses``."""
    with connecting_to(location.description):
        connection = await connect(location)
    try:
        with translated(location.description):
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                return await stored_in(TransactionSession(connection, location.description))
    finally:
        connection.terminate()  # a server that hangs says no good-bye


def check(stored: StoredSchema) -> None:
    """Raises ``SchemaMismatch`` unless this version may work on it."""
    revision = stored.revision
    if stored.usable:
        return
    if revision is None:
        raise SchemaMismatch(f"the database has no tables yet; {MIGRATE}")
    if revision not in REVISIONS:
        raise SchemaMismatch(
            f"the database has schema {revision}, which is newer than this version of Schedora (up to "
            f"{REVISIONS[-1]}); install the version that made it"
        )
    raise SchemaMismatch(
        f"the database has schema {revision}, this version of Schedora needs {REVISIONS[-1]}; {MIGRATE}"
    )
