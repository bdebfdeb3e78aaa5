"""Look on as records change: any number of watchers, one question to the store for all that is watched."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import Context
from datetime import timedelta
from typing import Generic, TypeVar

from schedora.application.backoff import Backoff
from schedora.application.errors import StoreUnavailable
from schedora.application.log import Logger
from schedora.application.ports.clock import Clock
from schedora.application.queries.event_feed import EventFeed, Item, Move
from schedora.domain.events import Notice

log = Logger("schedora.events")

LOOK_EVERY = timedelta(seconds=2)
"""At all that is watched: what no move that was told has brought to light."""

PACE = timedelta(milliseconds=50)
"""Between two looks, however much is told meanwhile."""

IDS_PER_QUESTION = 1_000
FIRST_PAUSE = timedelta(milliseconds=100)
LONGEST_PAUSE = timedelta(seconds=5)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Watched(Generic[V]):
    """What was seen last of one record; None where there is none any more."""

    def __init__(self, value: V | None, wake: asyncio.Event) -> None:
        self._value = value
        self._wake = wake
        self._changed = False

    def take(self) -> tuple[bool, V | None]:
        """Whether another value was seen since the last time, and the newest one."""
        changed, self._changed = self._changed, False
        return changed, self._value

    def see(self, value: V | None) -> None:
        if value != self._value:
            self._value = value
            self._changed = True
            self._wake.set()


class Watch(Generic[K, V]):
    """Looks soon at what a move is told of, and every few seconds at all that anyone watches."""

    def __init__(
        self,
        look: Callable[[Collection[K]], Awaitable[Mapping[K, V]]],
        key_of: Callable[[Notice], K | None],
        *,
        feed: EventFeed,
        clock: Clock,
        unit_random: Callable[[], float],
    ) -> None:
        """``look`` answers with those that exist."""
        self._look = look
        self._key_of = key_of
        self._feed = feed
        self._clock = clock
        self._unit_random = unit_random
        self._watchers: dict[K, set[Watched[V]]] = {}
        self._due: set[K] = set()
        self._something_due = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._listening = ExitStack()

    @contextmanager
    def watch(self, key: K, value: V, wake: asyncio.Event) -> Iterator[Watched[V]]:
        """``value`` is what was seen of it; ``wake`` is set when another is."""
        watched = Watched(value, wake)
        if not self._watchers:
            self._listening.enter_context(self._feed.heard_by(self._hear))
            # In a context of its own: it is nobody's in particular.
            self._looking = asyncio.create_task(self._look_on(), name="schedora-watch", context=Context())
        self._watchers.setdefault(key, set()).add(watched)
        self._look_soon(key)  # it may have changed since it was read
        try:
            yield watched
        finally:
            self._watchers[key].discard(watched)
            if not self._watchers[key]:
                del self._watchers[key]
            if not self._watchers:
                self._stop()

    async def close(self) -> None:
        """Ends the looking, whoever may watch."""
        self._stop()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _stop(self) -> None:
        self._listening.close()
        self._due.clear()
        if self._looking is not None:
            self._looking.cancel()
            self._ending.add(self._looking)
            self._looking.add_done_callback(self._ending.discard)
            self._looking = None

    def _hear(self, item: Item) -> None:
        if isinstance(item, Move):
            key = self._key_of(item.notice)
            if key is not None and key in self._watchers:
                self._look_soon(key)

    def _look_soon(self, key: K) -> None:
        self._due.add(key)
        self._something_due.set()

    async def _look_on(self) -> None:
        backoff = Backoff(self._unit_random, first=FIRST_PAUSE, longest=LONGEST_PAUSE)
        away = False
        all_at = self._clock.monotonic() + LOOK_EVERY
        while True:
            await self._clock.wait(self._something_due, max(timedelta(0), all_at - self._clock.monotonic()))
            self._something_due.clear()
            if self._clock.monotonic() >= all_at:
                self._due.update(self._watchers)
                all_at = self._clock.monotonic() + LOOK_EVERY
            due = list(self._due)
            self._due.clear()
            try:
                await self._look_at(due)
            except StoreUnavailable as error:
                if not away:
                    log.warning("can't look at what is watched; trying again", error=str(error))
                away = True
                pause = backoff.next()
            except Exception:
                # A defect. Who watches must not wait for ever in silence, and others may be looked at all the same.
                log.exception("looking at what is watched failed; trying again")
                pause = backoff.next()
            else:
                due, away = [], False
                backoff.reset()
                pause = PACE
            if due:
                self._due.update(due)
                self._something_due.set()
            await self._clock.sleep(pause)

    async def _look_at(self, keys: Collection[K]) -> None:
        keys = [key for key in keys if key in self._watchers]
        for start in range(0, len(keys), IDS_PER_QUESTION):
            asked = keys[start : start + IDS_PER_QUESTION]
            seen = await self._look(asked)
            for key in asked:
                for watched in tuple(self._watchers.get(key, ())):
                    watched.see(seen.get(key))
