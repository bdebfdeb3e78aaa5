"""Which database a process works on: the one named, or the embedded server of a data directory."""

from collections.abc import Iterator
from contextlib import contextmanager

from schedora.adapters.postgres.embedded import default_data_dir, start_embedded
from schedora.adapters.postgres.schema import migrate
from schedora.entrypoints.container.settings import Settings


@contextmanager
def database_of(settings: Settings) -> Iterator[str]:
    """Its URL, for as long as the context lasts.

    The embedded server is started, or joined when another process runs it, and brought to the schema of this
    version; it stops with the last process that uses it. A database that was named is left as it is. Raises
    ``EmbeddedUnavailable``, ``StoreUnavailable`` and ``SchemaMismatch``.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    server = start_embedded(settings.schedora_data_dir or default_data_dir())
    try:
        migrate(server.url)
        yield server.url
    finally:
        server.release()
