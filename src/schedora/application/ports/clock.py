"""Time: every instant that is read and every wait goes through here."""

import asyncio
from datetime import datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present, aware, UTC. May jump; measure spans with ``monotonic``."""
        ...

    def monotonic(self) -> timedelta:
        """A span since some fixed moment; never shrinks."""
        ...

    async def sleep(self, span: timedelta) -> None: ...

    async def wait(self, event: asyncio.Event, at_most: timedelta | None) -> bool:
        """Until ``event`` is set (True) or ``at_most`` has passed (False). None waits without end."""
        ...
