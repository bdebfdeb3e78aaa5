"""What Alembic runs to run the migrations: on the connection given, else on ``DATABASE_URL``."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from schedora.adapters.postgres.tables import metadata


def run_on(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_run() -> None:
    url = os.environ["DATABASE_URL"]
    engine = create_async_engine(url.replace(url.partition("://")[0], "postgresql+asyncpg", 1))
    async with engine.begin() as connection:
        await connection.run_sync(run_on)
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is not None:
    run_on(given)
else:
    asyncio.run(connect_and_run())
