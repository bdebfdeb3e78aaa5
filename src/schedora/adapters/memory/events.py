"""Events within one process, for readers on any event loop."""

import asyncio
import re
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from threading import Lock
from typing import NamedTuple
from uuid import UUID

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.store import MemoryStore
from schedora.application.ports.events import Position, Reading, Told
from schedora.domain.events import Notice

KEPT_MAX = 10_000

_NUMBER = re.compile("[0-9]{1,18}")


class _Kept(NamedTuple):
    number: int
    at: timedelta
    notice: Notice


class MemoryEvents:
    """A position is the number of what was told last. Publishers see the listener at once."""

    def __init__(self, store: MemoryStore) -> None:
        self.faults: Faults = store.faults
        self._clock = store.clock
        self._randomness = store.randomness
        self._guard = Lock()
        self._attended_until = timedelta(0)
        self._kept: deque[_Kept] = deque()
        self._last = 0
        self._gone = 0
        """The number of the last one that is kept no more, or was never told."""
        self._epoch: UUID | None = None
        self._readers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @property
    def wanted(self) -> bool:
        return self._clock.monotonic() < self._attended_until

    def publish(self, notices: Sequence[Notice], *, lost: int = 0) -> None:
        if not (notices or lost) or not self.wanted:
            return
        with self._guard:
            self._last += lost
            if lost:
                self._gone = self._last
            at = self._clock.monotonic()
            for notice in notices:
                self._last += 1
                self._kept.append(_Kept(self._last, at, notice))
            while len(self._kept) > KEPT_MAX:
                self._gone = max(self._gone, self._kept.popleft().number)
            readers = tuple(self._readers)
        for loop, told in readers:
            with suppress(RuntimeError):  # a loop that was closed without ending its reader
                loop.call_soon_threadsafe(told.set)

    @fallible
    async def attend(self, span: timedelta) -> None:
        self._attended_until = max(self._attended_until, self._clock.monotonic() + span)

    @fallible
    async def now(self) -> Position:
        return self._position(self._last)

    @fallible
    async def read(self, after: Position, *, limit: int, patience: timedelta) -> Reading:
        told = asyncio.Event()
        reader = asyncio.get_running_loop(), told
        with self._guard:
            self._readers.add(reader)
        try:
            reading = self._reading(after, limit)
            if reading.complete and not reading.told and patience > timedelta(0):
                await self._clock.wait(told, patience)
                reading = self._reading(after, limit)
            return reading
        finally:
            with self._guard:
                self._readers.discard(reader)

    @fallible
    async def prune(self, older_than: timedelta) -> None:
        oldest = self._clock.monotonic() - older_than
        with self._guard:
            while self._kept and self._kept[0].at <= oldest:
                self._gone = max(self._gone, self._kept.popleft().number)

    def _reading(self, after: Position, limit: int) -> Reading:
        epoch, _, number = after.partition(".")
        with self._guard:
            if epoch != str(self._epoch) or not _NUMBER.fullmatch(number) or int(number) > self._last:
                return Reading(told=(), position=self._position(self._last), complete=False)
            last = int(number)
            complete = last >= self._gone
            position = partial(self._position)
            told = [
                Told(position=position(kept.number), notice=kept.notice)
                for kept in self._kept
                if kept.number > last
            ][:limit]
            if told:
                return Reading(told=tuple(told), position=told[-1].position, complete=complete)
            return Reading(told=(), position=position(self._last), complete=complete)

    def _position(self, number: int) -> Position:
        if self._epoch is None:
            self._epoch = self._randomness.random_id()
        return Position(f"{self._epoch}.{number}")
