"""From settings to an open system: on the database that they name, or on the embedded server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from schedora.adapters.postgres.embedded import default_data_dir, start_embedded
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.container.settings import Settings
from schedora.entrypoints.system import System


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[System]:
    """A system, open as long as the context lasts.

    Raises ``EmbeddedUnavailable``, ``StoreUnavailable`` and ``SchemaMismatch``.
    """
    async with database_url(settings) as url:
        system = build_system(settings, database_url=url)
        await system.open()
        try:
            yield system
        finally:
            await system.close()


@asynccontextmanager
async def database_url(settings: Settings) -> AsyncIterator[str]:
    """Where the database is; an embedded server is kept running as long as the context lasts.

    Raises ``EmbeddedUnavailable``.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    data_dir = settings.schedora_data_dir or default_data_dir()
    server = await asyncio.to_thread(start_embedded, data_dir)
    try:
        yield server.url
    finally:
        await asyncio.to_thread(server.release)
