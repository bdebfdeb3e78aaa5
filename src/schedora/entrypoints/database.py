"""Which database a process works on: the one named, or the embedded server of a data directory."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from schedora.adapters.postgres.schema import reach
from schedora.adapters.postgres.upgrade import create, migrate
from schedora.application.backoff import Backoff
from schedora.application.errors import StoreRefuses, StoreUnavailable
from schedora.application.log import Logger
from schedora.entrypoints.settings import Settings

log = Logger("schedora.process")


@contextmanager
def database_of(settings: Settings, *, creating: bool = False, waiting: bool = True) -> Iterator[str]:
    """Its URL, for as long as the context lasts.

    One that was named and is away is waited for, for as long as the settings say, for servers and processes start
    together; with ``waiting`` False it is not. The embedded server is started, or joined when another process runs it,
    and brought to the schema of this version; it stops with the last process that uses it. A database that was named is left as it is; ``creating``
    gives it tables, where it has none of Schedora's. Raises ``EmbeddedUnavailable``, ``StoreUnavailable`` and
    ``SchemaMismatch``.
    """
    if settings.database_url is not None:
        _wait_for(settings.database_url, settings.database_start_timeout if waiting else 0)
        if creating:
            create(settings.database_direct_url or settings.database_url)
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


def _wait_for(url: str, patience_seconds: float) -> None:
    """One line at the begin and one at the end. Raises ``StoreUnavailable``."""
    began = time.monotonic()
    backoff = Backoff(random.random, first=timedelta(seconds=0.2), longest=timedelta(seconds=2))
    told = False
    while True:
        try:
            reach(url)
            break
        except StoreRefuses:
            raise
        except StoreUnavailable as error:
            left = began + patience_seconds - time.monotonic()
            if left <= 0:
                raise
            if not told:
                log.warning("waiting for the database", error=str(error), at_most_seconds=patience_seconds)
            told = True
            time.sleep(min(backoff.next().total_seconds(), left))
    if told:
        log.info("the database is there", waited_seconds=round(time.monotonic() - began, 1))
