"""The schema: brought up to date, and recognised.

The revisions are numbered in order. One that this version does not know is newer than it: then this version keeps
its hands off.
"""

import asyncio

import asyncpg

from schedora.adapters.postgres.errors import MIGRATE, connecting_to, translated
from schedora.adapters.postgres.location import Location
from schedora.adapters.postgres.session import Session, TransactionSession
from schedora.adapters.postgres.statements import Statement
from schedora.application.errors import SchemaMismatch

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010")
"""Those that this version knows, oldest first; it works on the last one."""

VERSION_TABLE = "schedora_version"
"""Which revision of the schema this is. Not Alembic's usual name, which a program's own tables may have taken."""

CONNECT_TIMEOUT_SECONDS = 10.0

_STORED = Statement(f"select to_regclass('{VERSION_TABLE}') is not null as versioned", ())
_REVISION = Statement(f"select version_num from {VERSION_TABLE}", ())  # noqa: S608 - a constant


def migrate(url: str) -> None:
    """Brings the database to the newest schema that this version knows; changes nothing when it is there.

    All in one transaction, and any number of processes may do it at once. Must not be called on an event loop.
    Raises ``StoreUnavailable``; ``SchemaMismatch`` when the schema is newer; ``ValueError`` for a URL that is none.
    """
    location = Location.parse(url)
    if asyncio.run(_revision_at(location)) != REVISIONS[-1]:
        from schedora.adapters.postgres import migration  # noqa: PLC0415 - most find the schema as they want it

        asyncio.run(migration.on_connection(location, migration.upgrade))


def create(url: str) -> None:
    """Gives a database without tables of Schedora the newest schema; one that has it stays as it is.

    For the rest as ``migrate``, and raises ``SchemaMismatch`` when the schema is older, too: who brings a database
    with jobs to another schema should mean it.
    """
    location = Location.parse(url)
    revision = asyncio.run(_revision_at(location))
    if revision is not None:
        check(revision)
        return
    from schedora.adapters.postgres import migration  # noqa: PLC0415 - as above

    asyncio.run(migration.on_connection(location, migration.create))


def verify(url: str) -> None:
    """Raises ``SchemaMismatch`` with one line unless the schema is the one that this version knows;
    ``StoreUnavailable``. Must not be called on an event loop.
    """
    check(asyncio.run(_revision_at(Location.parse(url))))


def reach(url: str) -> None:
    """Raises ``StoreUnavailable`` unless the database is there and answers, whatever its schema is; ``StoreRefuses`` where it
    will not get better by itself. Must not be called on an event loop.
    """
    asyncio.run(_revision_at(Location.parse(url)))


async def check_schema(session: Session) -> None:
    """As ``verify``, on an event loop."""
    check(await revision_of(session))


async def revision_of(session: Session) -> str | None:
    """None where there are no tables yet."""
    (stored,) = await session.fetch(_STORED)
    revisions = await session.fetch(_REVISION) if stored["versioned"] else ()
    return revisions[0]["version_num"] if revisions else None


async def connect(location: Location) -> "asyncpg.Connection[asyncpg.Record]":
    """Without prepared statements, so that it works behind any pooler. Raises the driver's errors."""
    timeout = location.connect_timeout
    seconds = timeout.total_seconds() if timeout else CONNECT_TIMEOUT_SECONDS
    return await asyncpg.connect(location.url, timeout=seconds, statement_cache_size=0)


async def _revision_at(location: Location) -> str | None:
    with connecting_to(location.description):
        connection = await connect(location)
    try:
        with translated(location.description):
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                return await revision_of(TransactionSession(connection, location.description))
    finally:
        connection.terminate()  # a server that hangs says no good-bye


def check(revision: str | None) -> None:
    """Raises ``SchemaMismatch`` unless the revision is the one that this version works on."""
    if revision is None:
        raise SchemaMismatch(f"the database has no tables yet; {MIGRATE}")
    if revision not in REVISIONS:
        raise SchemaMismatch(
            f"the database has schema {revision}, which is newer than this version of Schedora (up to "
            f"{REVISIONS[-1]}); install the version that made it"
        )
    if revision != REVISIONS[-1]:
        raise SchemaMismatch(
            f"the database has schema {revision}, this version of Schedora needs {REVISIONS[-1]}; {MIGRATE}"
        )
