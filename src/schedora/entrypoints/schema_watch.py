"""Looks now and then whether this version may still work on the schema: somebody may upgrade it while the process runs."""

import asyncio
from datetime import timedelta

from schedora.application.errors import SchemaMismatch, StoreUnavailable
from schedora.application.log import Logger
from schedora.entrypoints.system import System

INTERVAL = timedelta(seconds=5)

log = Logger("schedora.process")


class SchemaWatch:
    """Ends the process once the schema has gone beyond what its version may work on: all that runs is released."""

    name = "schema"

    def __init__(self, system: System, *, interval: timedelta = INTERVAL) -> None:
        self._system = system
        self._interval = interval
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        while not await self._system.clock.wait(self._stopped, self._interval):
            try:
                await self._system.check_schema()
            except SchemaMismatch as error:
                log.error("stopping: the schema has changed", error=str(error))  # noqa: TRY400 - one line says all
                return
            except StoreUnavailable:
                pass  # told by whoever needs it

    def stop(self) -> None:
        self._stopped.set()
