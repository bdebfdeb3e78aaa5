"""Systems in memory whose opening and closing can be watched and made to fail."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from attrs import Factory, define

from schedora.application.errors import StoreUnavailable
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.settings import Settings, load_settings
from schedora.entrypoints.system import System


@define
class Doors:
    """All systems are the same one, so that what is stored through one is seen through the other."""

    opened: int = 0
    closed: int = 0
    failures: int = 0
    """How many openings are yet to fail."""
    system: System = Factory(lambda: build_system(load_settings(), database_url=None))

    @asynccontextmanager
    async def connect(self, _settings: Settings) -> AsyncIterator[System]:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("not now")
        self.opened += 1
        try:
            yield self.system
        finally:
            self.closed += 1
