"""What Alembic runs to run the migrations: on the connection given, else on ``DATABASE_URL``."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection

from schedora.adapters.postgres.location import Location
from schedora.adapters.postgres.migration import on_connection
from schedora.adapters.postgres.schema import VERSION_TABLE
from schedora.adapters.postgres.tables import metadata


def run_on(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run_on(given)
else:
    asyncio.run(on_connection(Location.parse(os.environ["DATABASE_URL"]), run_on))
