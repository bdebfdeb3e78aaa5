"""Bring a database to the schema of this version. Alembic is imported only where something has to change."""

import asyncio

from schedora.adapters.postgres.location import Location
from schedora.adapters.postgres.schema import check, stored_at


def migrate(url: str) -> None:
    """Brings the database to the newest schema that this version knows; changes nothing when it is there.

    All in one transaction, and any number of processes may do it at once. Must not be called on an event loop.
    Raises ``StoreUnavailable``; ``SchemaMismatch`` when the schema is newer; ``ValueError`` for a URL that is none.
    """
    location = Location.parse(url)
    if not asyncio.run(stored_at(location)).usable:
        from schedora.adapters.postgres import migration  # noqa: PLC0415 - most find the schema as they want it

        asyncio.run(migration.on_connection(location, migration.upgrade))


def create(url: str) -> None:
    """Gives a database without tables of Schedora the newest schema; one that has it stays as it is.

    For the rest as ``migrate``, and raises ``SchemaMismatch`` when the schema is older, too: who brings a database
    with jobs to another schema should mean it.
    """
    location = Location.parse(url)
    stored = asyncio.run(stored_at(location))
    if stored.revision is not None:
        check(stored)
        return
    from schedora.adapters.postgres import migration  # noqa: PLC0415 - as above

    asyncio.run(migration.on_connection(location, migration.create))
