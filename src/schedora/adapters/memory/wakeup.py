"""Hints within one process, on whatever event loop each subscriber has."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from threading import Lock

from schedora.adapters.memory.faults import Faults
from schedora.adapters.memory.store import MemoryStore
from schedora.application.ports.wakeup import Hint, SubscriptionFilter
from schedora.domain.ids import IncarnationId


class MemorySubscription:
    """Notifications sent within one turn of the subscriber's event loop arrive as one."""

    def __init__(
        self, faults: Faults, on_hint: Callable[[Hint], None], subscription_filter: SubscriptionFilter
    ) -> None:
        self._faults = faults
        self._on_hint = on_hint
        self._subscription_filter = subscription_filter
        self._loop = asyncio.get_running_loop()
        self._guard = Lock()
        self._pending: Hint | None = None

    @property
    def healthy(self) -> bool:
        return not self._faults.hints_lost

    def attend(self, *, owner: IncarnationId | None, idle: bool, room: int = 0) -> None:
        """Everybody is told in any case."""

    def pass_on(self) -> None:
        """Everybody was told."""

    def send(self, hint: Hint) -> None:
        if not hint.owners and not self._subscription_filter.looks_into(hint.queues):
            return
        with self._guard:
            first = self._pending is None
            so_far = self._pending or hint
            self._pending = Hint(
                queues=so_far.queues | hint.queues,
                owners=so_far.owners | hint.owners,
                later=so_far.later and hint.later,
                shared=so_far.shared and hint.shared,
            )
        if first:
            with suppress(RuntimeError):  # a loop that was closed without leaving its subscription
                self._loop.call_soon_threadsafe(self._deliver)

    def stop(self) -> None:
        """Hints that are under way arrive no more."""
        self._on_hint = _ignore

    def _deliver(self) -> None:
        with self._guard:
            hint, self._pending = self._pending, None
        if hint is not None:
            self._on_hint(hint)


class MemoryWakeup:
    def __init__(self, store: MemoryStore) -> None:
        self._faults: Faults = store.faults
        self._subscribers = store.subscribers

    def notify(
        self,
        *,
        queues: Collection[str] = (),
        owners: Collection[IncarnationId] = (),
        later: bool = False,
        more_work: bool = False,
    ) -> None:
        if self._faults.hints_lost or not (queues or owners):
            return
        subscribers = tuple(self._subscribers)
        shared = bool(queues) and len(subscribers) > 1 and not more_work
        hint = Hint(queues=frozenset(queues), owners=frozenset(owners), later=later, shared=shared)
        for send in subscribers:
            send(hint)

    @asynccontextmanager
    async def subscribe(
        self, on_hint: Callable[[Hint], None], subscription_filter: SubscriptionFilter
    ) -> AsyncIterator[MemorySubscription]:
        subscription = MemorySubscription(self._faults, on_hint, subscription_filter)
        self._subscribers.append(subscription.send)
        try:
            yield subscription
        finally:
            self._subscribers.remove(subscription.send)
            subscription.stop()


def _ignore(_hint: Hint) -> None:
    """Nobody listens any more."""
