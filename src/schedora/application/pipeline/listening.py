"""A worker's subscription to hints."""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

from schedora.application.ports.wakeup import Hint, Subscription, SubscriptionFilter, Wakeup


class Listening:
    def __init__(self, wakeup: Wakeup, subscription_filter: SubscriptionFilter) -> None:
        self._wakeup = wakeup
        self._subscription_filter = subscription_filter
        self.subscription: Subscription | None = None
        """None until there is one."""

    @asynccontextmanager
    async def to(self, on_hint: Callable[[Hint], None]) -> AsyncIterator[None]:
        """Calls ``on_hint`` with each hint until the context ends."""
        async with self._wakeup.subscribe(on_hint, self._subscription_filter) as subscription:
            self.subscription = subscription
            yield

    @property
    def healthy(self) -> bool:
        """Whether hints are known to arrive. When not, the store is polled at short intervals."""
        return self.subscription is not None and self.subscription.healthy

    def looks_into(self, queues: Collection[str]) -> bool:
        """Whether this worker runs jobs of one of these queues."""
        return self._subscription_filter.looks_into(queues)
