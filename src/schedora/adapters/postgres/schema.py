"""The schema: brought up to date, and recognised.

The revisions are numbered in order. One that this version does not know is newer than it: then this version keeps
its hands off.
"""

import asyncio
import logging
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from schedora.adapters.postgres.errors import MIGRATE, connecting_to, translated
from schedora.adapters.postgres.location import Location
from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import Statement
from schedora.application.errors import SchemaMismatch

REVISIONS = ("0001",)
"""Those that this version knows, oldest first; it works on the last one."""

_MIGRATING = 0x5C4ED0_4A
"""The advisory lock that is held while the schema changes."""

_CONNECT_TIMEOUT_SECONDS = 10.0
_STORED = Statement("select to_regclass('alembic_version') is not null as versioned", ())
_REVISION = Statement("select version_num from alembic_version", ())

_logger = logging.getLogger(__name__)


def migrate(url: str) -> None:
    """Brings the database to the newest schema that this version knows; changes nothing when it is there.

    All in one transaction, and any number of processes may do it at once. Must not be called on an event loop.
    Raises ``StoreUnavailable``; ``SchemaMismatch`` when the schema is newer; ``ValueError`` for a URL that is none.
    """
    asyncio.run(_migrate(Location.parse(url)))


async def check_schema(session: Session) -> None:
    """Raises ``SchemaMismatch`` with one line unless the schema is the one that this version knows."""
    (stored,) = await session.fetch(_STORED)
    revisions = await session.fetch(_REVISION) if stored["versioned"] else ()
    _check(revisions[0]["version_num"] if revisions else None)


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's, with the scripts that come with this package; ``connection`` is what they run on."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


async def _migrate(location: Location) -> None:
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
                await connection.run_sync(_upgrade)
    finally:
        await connection.close()
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _MIGRATING})
    current = MigrationContext.configure(connection).get_current_revision()
    if current == REVISIONS[-1]:
        return
    if current is not None and current not in REVISIONS:
        _check(current)
    _logger.info("the schema goes from %s to %s", current or "nothing", REVISIONS[-1])
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
