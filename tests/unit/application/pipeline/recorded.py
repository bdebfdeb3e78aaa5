"""A wake-up that delivers what a test says, and notes what it is told."""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

from schedora.application.ports.wakeup import Hint, SubscriptionFilter
from schedora.domain.ids import IncarnationId


class RecordedSubscription:
    """Notes what it is told, and delivers what a test says."""

    def __init__(self, on_hint: Callable[[Hint], None], subscription_filter: SubscriptionFilter) -> None:
        self.deliver = on_hint
        self.subscription_filter = subscription_filter
        self.healthy = True
        self.owner: IncarnationId | None = None
        self.idle = False
        self.room = 0
        self.passed_on = 0

    def attend(self, *, owner: IncarnationId | None, idle: bool, room: int = 0) -> None:
        self.owner, self.idle, self.room = owner, idle, room

    def pass_on(self) -> None:
        self.passed_on += 1


class RecordedWakeup:
    def __init__(self) -> None:
        self.subscriptions: list[RecordedSubscription] = []
        self.notified: list[tuple[set[str], bool]] = []
        """Queues, and whether of plenty."""

    def notify(
        self,
        *,
        queues: Collection[str] = (),
        owners: Collection[IncarnationId] = (),
        later: bool = False,
        more_work: bool = False,
    ) -> None:
        self.notified.append((set(queues), more_work))

    @asynccontextmanager
    async def subscribe(
        self, on_hint: Callable[[Hint], None], subscription_filter: SubscriptionFilter
    ) -> AsyncIterator[RecordedSubscription]:
        self.subscriptions.append(RecordedSubscription(on_hint, subscription_filter))
        yield self.subscriptions[-1]

    @property
    def subscription(self) -> RecordedSubscription:
        [subscription] = self.subscriptions
        return subscription

    def idle(self) -> bool:
        return self.subscription.idle
