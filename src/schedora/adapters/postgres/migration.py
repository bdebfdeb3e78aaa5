"""The way from one revision of the schema to the next, with Alembic."""

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

_MIGRATING = 0x5C4ED0_4A
"""The advisory lock that is held while the schema changes."""

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
    """Does it in one transaction."""
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
    current = _revision(connection)
    if current is None:
        _upgrade_from(None, connection)
    else:
        schema.check(current)


def upgrade(connection: Connection) -> None:
    """Raises ``SchemaMismatch`` when the schema is newer than this version."""
    _wait_for_others(connection)
    current = _revision(connection)
    if current is not None and current not in schema.REVISIONS:
        schema.check(current)
    if current != schema.REVISIONS[-1]:
        _upgrade_from(current, connection)


def _wait_for_others(connection: Connection) -> None:
    connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _MIGRATING})


def _revision(connection: Connection) -> str | None:
    if not connection.scalar(text("select to_regclass(:name) is not null"), {"name": schema.VERSION_TABLE}):
        return None
    revision: str | None = connection.scalar(text(f"select version_num from {schema.VERSION_TABLE}"))  # noqa: S608 - a constant
    return revision


def _upgrade_from(current: str | None, connection: Connection) -> None:
    _logger.info("the schema goes from %s to %s", current or "nothing", schema.REVISIONS[-1])
    with _ALEMBIC:
        command.upgrade(configuration(connection), schema.REVISIONS[-1])
