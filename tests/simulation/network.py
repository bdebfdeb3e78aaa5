"""What lies between the processes: calls to the store take their time and fail, hints are lost, doubled and late."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Final

from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.wakeup import MemoryWakeup
from schedora.application.errors import StoreUnavailable
from schedora.application.ports.wakeup import Hint, SubscriptionFilter
from schedora.domain.ids import IncarnationId
from tests.simulation.event_loop import SimulatedLoop, SimulatedThread

QUICK_SECONDS: Final = 0.003
SLOW_SECONDS: Final = 4.0
"""No call takes longer each way."""
LATE_SECONDS: Final = 3.0
WITHIN_A_UNIT: Final = ("jobs.", "workflows.")
"""Statements of a transaction: the memory store runs it in one piece."""
HOUSEKEEPING: Final = ("records.", "workers.prune", "workers.watch")
"""What nobody waits for takes no time while all is well: half of all calls would be of this kind."""


class Trouble(StrEnum):
    """What the network does while it lasts."""

    CALLS_FAIL = "calls fail before the commit"
    ANSWERS_LOST = "answers are lost after the commit"
    STATEMENTS_FAIL = "statements fail within a transaction"
    CALLS_SLOW = "calls are slow"
    STORE_AWAY = "the store is away"
    HINTS_LOST = "hints are lost unnoticed"
    HINTS_DOUBLED = "hints come twice"
    HINTS_LATE = "hints are late"
    HINTS_DOWN = "hints are known not to arrive"
    SIGNS_LOST = "signs of life beside the store are lost"


OF_THE_STORE: Final = (
    Trouble.CALLS_FAIL,
    Trouble.ANSWERS_LOST,
    Trouble.STATEMENTS_FAIL,
    Trouble.CALLS_SLOW,
    Trouble.STORE_AWAY,
)


class Network:
    """``chances`` tells how often each trouble strikes at present; ``struck`` how often it has."""

    def __init__(
        self, loop: SimulatedLoop, chance: random.Random, store: MemoryStore, on_commit: Callable[[str], None]
    ) -> None:
        self.chances: dict[Trouble, float] = {}
        self.struck: Counter[str] = Counter()
        self.subscribers: list[Subscriber] = []
        self._loop = loop
        self._chance = chance
        self._store = store
        self._on_commit = on_commit
        self._cut_off_until: dict[SimulatedThread, float] = {}
        store.faults.line = self

    @property
    def store_is_well(self) -> bool:
        return not any(trouble in self.chances for trouble in OF_THE_STORE)

    def begin(self, trouble: Trouble, chance: float) -> None:
        self.chances[trouble] = chance
        self._changed(trouble)

    def end(self, trouble: Trouble) -> None:
        self.chances.pop(trouble, None)
        self._changed(trouble)

    def strikes(self, trouble: Trouble) -> bool:
        chance = self.chances.get(trouble)
        if chance is None or self._chance.random() >= chance:
            return False
        self.struck[trouble] += 1
        return True

    def cut_off(self, thread: SimulatedThread, seconds: float) -> None:
        """What it says from now on arrives then, and nothing before; what it is told, likewise."""
        until = self._loop.time() + seconds
        self._cut_off_until[thread] = max(until, self._cut_off_until.get(thread, until))

    def holds_up(self, thread: SimulatedThread) -> bool:
        return self._cut_off_until.get(thread, 0.0) > self._loop.time()

    async def there(self, point: str) -> None:
        if point.startswith(WITHIN_A_UNIT):
            if self.strikes(Trouble.STATEMENTS_FAIL):
                raise StoreUnavailable(f"a statement fails: {point}")
            return
        await self._travel(point)
        if self.strikes(Trouble.STORE_AWAY) or self.strikes(Trouble.CALLS_FAIL):
            raise StoreUnavailable(f"not reached: {point}")

    async def back(self, point: str) -> None:
        if point.startswith(WITHIN_A_UNIT):
            return
        self._on_commit(point)
        await self._travel(point)
        if self.strikes(Trouble.STORE_AWAY) or self.strikes(Trouble.ANSWERS_LOST):
            raise StoreUnavailable(f"no answer: {point}")

    async def _travel(self, point: str) -> None:
        if self.holds_up(self._loop.current):
            await asyncio.sleep(self._cut_off_until[self._loop.current] - self._loop.time())
        elif self.strikes(Trouble.CALLS_SLOW):
            await asyncio.sleep(self._chance.random() * SLOW_SECONDS)
        elif not point.startswith(HOUSEKEEPING):
            await asyncio.sleep(self._chance.random() * QUICK_SECONDS)

    def _changed(self, trouble: Trouble) -> None:
        if trouble is Trouble.SIGNS_LOST:
            self._store.faults.signs_lost = trouble in self.chances
            self.struck[trouble] += trouble in self.chances
        if (
            trouble is Trouble.HINTS_DOWN
        ):  # whoever knows of a gap looks for himself, at its begin and at its end
            for subscriber in self.subscribers:
                subscriber.deliver(Hint(), late_by=0)

    def carry(self, subscriber: "Subscriber", hint: Hint) -> None:
        if self.strikes(Trouble.HINTS_DOWN) or self.strikes(Trouble.HINTS_LOST):
            return
        for _ in range(2 if self.strikes(Trouble.HINTS_DOUBLED) else 1):
            late = self.strikes(Trouble.HINTS_LATE)
            late_by = self._chance.random() * (LATE_SECONDS if late else QUICK_SECONDS)
            subscriber.deliver(hint, late_by=late_by)


class Subscriber:
    """One worker's listener."""

    def __init__(
        self,
        network: Network,
        loop: SimulatedLoop,
        thread: SimulatedThread,
        on_hint: Callable[[Hint], None],
        subscription_filter: SubscriptionFilter,
    ) -> None:
        self._network = network
        self._loop = loop
        self._thread = thread
        self._on_hint = on_hint
        self._subscription_filter = subscription_filter

    @property
    def healthy(self) -> bool:
        return Trouble.HINTS_DOWN not in self._network.chances

    def attend(self, *, owner: IncarnationId | None, idle: bool, room: int = 0) -> None:
        """Everybody is told in any case."""

    def pass_on(self) -> None:
        """Everybody was told."""

    def send(self, hint: Hint) -> None:
        if hint.owners or self._subscription_filter.looks_into(hint.queues):
            self._network.carry(self, hint)

    def deliver(self, hint: Hint, *, late_by: float) -> None:
        context = self._thread.context.copy()
        self._loop.call_later(late_by, self._hear, hint, context=context)

    def stop(self) -> None:
        self._on_hint = _nobody_hears

    def _hear(self, hint: Hint) -> None:
        self._on_hint(hint)


class SimulatedWakeup:
    """The memory store's hints, carried by the network to the thread that listens."""

    def __init__(
        self, store: MemoryStore, network: Network, loop: SimulatedLoop, thread: SimulatedThread
    ) -> None:
        self._store = store
        self._network = network
        self._loop = loop
        self._thread = thread
        self._notify_coalescer = MemoryWakeup(store)

    def notify(
        self,
        *,
        queues: Collection[str] = (),
        owners: Collection[IncarnationId] = (),
        later: bool = False,
        more_work: bool = False,
    ) -> None:
        self._notify_coalescer.notify(queues=queues, owners=owners, later=later, more_work=more_work)

    @asynccontextmanager
    async def subscribe(
        self, on_hint: Callable[[Hint], None], subscription_filter: SubscriptionFilter
    ) -> AsyncIterator[Subscriber]:
        subscriber = Subscriber(self._network, self._loop, self._thread, on_hint, subscription_filter)
        self._network.subscribers.append(subscriber)
        self._store.subscribers.append(subscriber.send)
        try:
            yield subscriber
        finally:
            self._network.subscribers.remove(subscriber)
            self._store.subscribers.remove(subscriber.send)
            subscriber.stop()


def _nobody_hears(_hint: Hint) -> None: ...
