"""The schema: brought up to date, and recognised.

The revisions are numbered in order. One that this version does not know is newer than it: then this version keeps
its hands off.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import asyncpg
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from schedora.adapters.postgres.errors import MIGRATE, connecting_to, translated
from schedora.adapters.postgres.location import Location
from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import Statement
from schedora.adapters.postgres.tables import VERSION_TABLE
from schedora.application.errors import SchemaMismatch

if TYPE_CHECKING:
    from alembic.config import Config

REVISIONS = ("0001", "0002", "0003")
"""Those that this version knows, oldest first; it works on the last one."""

_MIGRATING = 0x5C4ED0_4A
"""The advisory lock that is held while the schema changes."""

_ALEMBIC = Lock()
"""Alembic knows one migration at a time in a process."""

_CONNECT_TIMEOUT_SECONDS = 10.0
_STORED = Statement(f"select to_regclass('{VERSION_TABLE}') is not null as versioned", ())
_REVISION = Statement(f"select version_num from {VERSION_TABLE}", ())  # noqa: S608 - a constant

_logger = logging.getLogger(__name__)


def migrate(url: str) -> None:
    """Brings the database to the newest schema that this version knows; changes nothing when it is there.

    All in one transaction, and any number of processes may do it at once. Must not be called on an event loop.
    Raises ``StoreUnavailable``; ``SchemaMismatch`` when the schema is newer; ``ValueError`` for a URL that is none.
    """
    asyncio.run(on_connection(Location.parse(url), _upgrade))


def create(url: str) -> None:
    """Gives a database without tables of Schedora the newest schema; one that has it stays as it is.

    For the rest as ``migrate``, and raises ``SchemaMismatch`` when the schema is older, too: who brings a database
    with jobs to another schema should mean it.
    """
    asyncio.run(on_connection(Location.parse(url), _create))


def verify(url: str) -> None:
    """Raises ``SchemaMismatch`` with one line unless the schema is the one that this version knows;
    ``StoreUnavailable``. Must not be called on an event loop.
    """
    asyncio.run(on_connection(Location.parse(url), _verify))


async def check_schema(session: Session) -> None:
    """As ``verify``, on an event loop."""
    (stored,) = await session.fetch(_STORED)
    revisions = await session.fetch(_REVISION) if stored["versioned"] else ()
    _check(revisions[0]["version_num"] if revisions else None)


def configuration(connection: Connection | None = None) -> "Config":
    """Alembic's, with the scripts that come with this package; ``connection`` is what they run on."""
    from alembic.config import Config  # noqa: PLC0415 - most processes find the schema as they want it

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


async def on_connection(location: Location, action: Callable[[Connection], None]) -> None:
    """Does it in one transaction."""

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        timeout = location.connect_timeout
        seconds = timeout.total_seconds() if timeout else _CONNECT_TIMEOUT_SECONDS
        # Without prepared statements, so that it works behind any pooler.
        return await asyncpg.connect(location.url, timeout=seconds, statement_cache_size=0)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    with connecting_to(location.description):
        connection = await engine.connect()
    try:
        with translated(location.description):
            async with connection.begin():
                await connection.run_sync(action)
    finally:
        await connection.close()
        await engine.dispose()


def _verify(connection: Connection) -> None:
    _check(_revision(connection))


def _create(connection: Connection) -> None:
    _wait_for_others(connection)
    current = _revision(connection)
    if current is None:
        _upgrade_from(None, connection)
    else:
        _check(current)


def _upgrade(connection: Connection) -> None:
    _wait_for_others(connection)
    current = _revision(connection)
    if current is not None and current not in REVISIONS:
        _check(current)
    if current != REVISIONS[-1]:
        _upgrade_from(current, connection)


def _wait_for_others(connection: Connection) -> None:
    connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _MIGRATING})


def _revision(connection: Connection) -> str | None:
    if not connection.scalar(text(_STORED.text)):
        return None
    revision: str | None = connection.scalar(text(_REVISION.text))
    return revision


def _upgrade_from(current: str | None, connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - as above

    _logger.info("the schema goes from %s to %s", current or "nothing", REVISIONS[-1])
    with _ALEMBIC:
        command.upgrade(configuration(connection), REVISIONS[-1])


def _check(revision: str | None) -> None:
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
