"""The way from one revision of the schema to the next, with Alembic."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from schedora.adapters.postgres import schema
from schedora.adapters.postgres.errors import connecting_to, translated
from schedora.adapters.postgres.location import Location
from schedora.application.errors import LockConflict, StoreUnavailable

_MIGRATING = 0x5C4ED0_4A
"""The advisory lock that is held while the schema changes."""

_LOCK_PATIENCE_MS = 500
"""So long a migration waits for a table that is in use. Whoever comes after it waits behind it meanwhile, claims as well: so it
stands back then, and tries again.
"""
_PAUSE_SECONDS = 1.0
_ATTEMPTS_MAX = 200

_ALEMBIC = Lock()
"""Alembic knows one migration at a time in a process."""

_logger = logging.getLogger(__name__)


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's, with the scripts that come with this package; ``connection`` is what they run on."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


async def on_connection(location: Location, action: Callable[[Connection], None]) -> None:
    """Does it in one transaction; again, where a table was in use for too long. Raises ``StoreUnavailable`` when it stays in use."""
    for attempt in range(1, _ATTEMPTS_MAX + 1):
        try:
            await _attempt(location, action)
        except LockConflict as error:
            if attempt == _ATTEMPTS_MAX:
                raise StoreUnavailable(
                    f"tables at {location.description} stay in use by a long transaction, and nothing was changed;"
                    " schedora doctor names it"
                ) from error
            if attempt == 1:
                _logger.warning("a table is in use by another transaction; trying again until it is not")
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return


async def _attempt(location: Location, action: Callable[[Connection], None]) -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: schema.connect(location), poolclass=NullPool
    )
    with connecting_to(location.description):
        connection = await engine.connect()
    try:
        with translated(location.description):
            async with connection.begin():
                await connection.run_sync(action)
    finally:
        await connection.close()
        await engine.dispose()


def create(connection: Connection) -> None:
    """Makes the tables where there are none. Raises ``SchemaMismatch`` for others than this version's."""
    _wait_for_others(connection)
    stored = _stored(connection)
    if stored.revision is None:
        _upgrade_from(None, connection)
    else:
        schema.check(stored)


def upgrade(connection: Connection) -> None:
    """Raises ``SchemaMismatch`` when the schema is newer than this version."""
    _wait_for_others(connection)
    stored = _stored(connection)
    if stored.revision is not None and stored.revision not in schema.REVISIONS:
        schema.check(stored)
    elif not stored.usable:
        _upgrade_from(stored.revision, connection)


def _wait_for_others(connection: Connection) -> None:
    connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _MIGRATING})


def _stored(connection: Connection) -> schema.StoredSchema:
    return schema.StoredSchema(
        revision=_read(connection, "version_num", schema.VERSION_TABLE),
        compatible_since=_read(connection, "since", schema.COMPATIBILITY_TABLE),
    )


def _read(connection: Connection, column: str, table: str) -> str | None:
    if not connection.scalar(text("select to_regclass(:name) is not null"), {"name": table}):
        return None
    value: str | None = connection.scalar(text(f"select {column} from {table}"))  # noqa: S608 - constants
    return value


def _upgrade_from(current: str | None, connection: Connection) -> None:
    _logger.info("the schema goes from %s to %s", current or "nothing", schema.REVISIONS[-1])
    connection.execute(text(f"set local lock_timeout = '{_LOCK_PATIENCE_MS}ms'"))
    with _ALEMBIC:
        command.upgrade(configuration(connection), schema.REVISIONS[-1])
