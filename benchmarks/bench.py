"""What every scenario works with: the server, the sizes, and a place for files."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen
from benchmarks.drivers import Driver
from benchmarks.systems.catalogue import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.postgres import Database, Server
    from benchmarks.sizes import Sizes
    from benchmarks.systems.catalogue import System

# Files that processes map into memory are kept out of the way of the disk that is measured.
_MEMORY = Path("/dev/shm")


@frozen(kw_only=True)
class Stage:
    """A system on an empty store of its own."""

    system: System
    driver: Driver
    database: Database | None
    """None for a system that keeps its jobs elsewhere."""
    redis_url: str | None
    """None for a system that has none."""
    directory: Path


@frozen(kw_only=True)
class Bench:
    """One run of the benchmarks."""

    server: Server
    redis_url: str | None
    sizes: Sizes

    @contextmanager
    def staged(self, system: System, settings: Mapping[str, str] | None = None) -> Iterator[Stage]:
        """Make an empty store with what the system needs in it, and remove it at the end. The system's processes
        have these settings in their environment.
        """
        with scratch() as directory, self._store(system) as (url, database):
            redis_url = self.redis_url if system.needs_redis else None
            driver = Driver(
                system=system, url=url, directory=directory, redis_url=redis_url, settings=settings or {}
            )
            driver.setup()
            yield Stage(
                system=system, driver=driver, database=database, directory=directory, redis_url=redis_url
            )

    @contextmanager
    def _store(self, system: System) -> Iterator[tuple[str, Database | None]]:
        if system.needs_redis and self.redis_url is None:
            raise RuntimeError(f"{system.name} needs a Redis and there is none")
        if system.store is Store.REDIS:
            yield str(self.redis_url), None
        else:
            with self.server.database() as database:
                yield database.url, database


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a directory for files of the moment."""
    parent = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(
        prefix="schedora-bench-", dir=parent, ignore_cleanup_errors=True
    ) as path:
        yield Path(path)
