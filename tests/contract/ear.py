"""Somebody who listens to hints."""

import asyncio
from collections.abc import Callable

from attrs import define, field

from schedora.application.ports.wakeup import Audience, Hint

PATIENCE_SECONDS = 60
EVERYTHING = Audience()


@define
class Ear:
    """Hears hints, all together."""

    heard: Hint = field(factory=Hint)
    _changed: asyncio.Event = field(factory=asyncio.Event)

    def __call__(self, hint: Hint) -> None:
        self.heard = Hint(queues=self.heard.queues | hint.queues, owners=self.heard.owners | hint.owners)
        self._changed.set()

    async def until(self, satisfied: Callable[[Hint], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not satisfied(self.heard):
                await self._changed.wait()
                self._changed.clear()
