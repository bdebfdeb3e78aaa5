"""Which database a process works on: the one named, or the embedded server of a data directory."""

from collections.abc import Iterator
from contextlib import contextmanager

from schedora.adapters.postgres.schema import create, migrate
from schedora.entrypoints.container.settings import Settings


@contextmanager
def database_of(settings: Settings, *, creating: bool = False) -> Iterator[str]:
    """Its URL, for as long as the context lasts.

    The embedded server is started, or joined when another process runs it, and brought to the schema of this
    version; it stops with the last process that uses it. A database that was named is left as it is; ``creating``
    gives it tables, where it has none of Schedora's. Raises ``EmbeddedUnavailable``, ``StoreUnavailable`` and
    ``SchemaMismatch``.
    """
    if settings.database_url is not None:
        if creating:
            create(settings.database_url)
        yield settings.database_url
        return
    from schedora.adapters.postgres.embedded import (  # noqa: PLC0415 - who names a database need not carry it
        default_data_dir,
        start_embedded,
    )

    server = start_embedded(settings.schedora_data_dir or default_data_dir())
    try:
        migrate(server.url)
        yield server.url
    finally:
        server.release()
