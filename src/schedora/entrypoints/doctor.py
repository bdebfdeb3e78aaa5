"""The doctor without an API: examines what the settings name, as it is."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schedora.application.queries.doctor import Diagnosis
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.settings import Settings, load_settings


def examine_directly(data_dir: Path | None) -> Diagnosis:
    """Raises ``WrongSettings``, and ``EmbeddedUnavailable`` where an embedded server is meant and there is none."""
    settings = load_settings(schedora_data_dir=data_dir)
    with _database_as_it_is(settings) as url:
        return asyncio.run(_examine(settings, url))


async def _examine(settings: Settings, url: str) -> Diagnosis:
    system = build_system(settings, database_url=url)
    try:
        return await system.examine()
    finally:
        await system.close()


@contextmanager
def _database_as_it_is(settings: Settings) -> Iterator[str]:
    """Its URL. An embedded server is joined, or started for as long as it takes; none is made, and no schema is changed."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    from schedora.adapters.postgres.embedded import (  # noqa: PLC0415 - who names a database need not carry it
        default_data_dir,
        join_embedded,
    )

    server = join_embedded(settings.schedora_data_dir or default_data_dir())
    try:
        yield server.url
    finally:
        server.release()
