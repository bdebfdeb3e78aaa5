"""Somebody who listens to hints."""

import asyncio
from collections.abc import Callable

from attrs import define, field

from schedora.application.ports.wakeup import Hint, SubscriptionFilter
from schedora.domain.claimed_job import ClaimedJob

PATIENCE_SECONDS = 60
EVERYTHING = SubscriptionFilter()


@define
class Listener:
    """Hears hints, all together."""

    heard: Hint = field(factory=Hint)
    matched: list[ClaimedJob] = field(factory=list)
    _changed: asyncio.Event = field(factory=asyncio.Event)

    def __call__(self, hint: Hint) -> None:
        self.heard = Hint(queues=self.heard.queues | hint.queues, owners=self.heard.owners | hint.owners)
        if hint.matched is not None:
            self.matched.append(hint.matched)
        self._changed.set()

    async def until(self, satisfied: Callable[[Hint], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not satisfied(self.heard):
                await self._changed.wait()
                self._changed.clear()
