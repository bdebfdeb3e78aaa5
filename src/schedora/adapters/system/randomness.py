"""Chance: the operating system's, or that of a seed."""

import random
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Final
from uuid import UUID

from asyncpg.pgproto import pgproto

from schedora.application.ports.clock import Clock
from schedora.domain.ids import uuid7_number

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_TAIL_BITS: Final = 74
_STEP_BITS: Final = 32


class OrderedIds:
    """Ascending UUIDs version 7 (RFC 9562, section 6.2, method 2), whatever the clock does, from any thread.

    The time is never set back: while the clock lags behind the newest id, or stands within its millisecond,
    the random tail grows by a random step, so that ids neither repeat nor can be guessed from one another.
    """

    def __init__(self, clock: Clock, bits: Callable[[int], int]) -> None:
        self._clock = clock
        self._bits = bits
        self._guard = Lock()
        self._unix_ms = -1
        self._tail = 0

    def next(self) -> UUID:
        (made,) = self.many(1)
        return made

    def many(self, count: int) -> list[UUID]:
        """All at one reading of the clock."""
        # Drawn at once: each draw is a call to the operating system.
        steps = memoryview(self._bits(_STEP_BITS * count).to_bytes(_STEP_BITS // 8 * count, "big")).cast("I")
        with self._guard:
            unix_ms = (self._clock.now() - _EPOCH) // _MILLISECOND
            return [self._after(step, unix_ms) for step in steps]

    def _after(self, step: int, unix_ms: int) -> UUID:
        tail = self._tail + 1 + step
        if unix_ms <= self._unix_ms and tail < 1 << _TAIL_BITS:
            self._tail = tail
        else:
            # A tail that is used up borrows the next millisecond.
            self._unix_ms = max(unix_ms, self._unix_ms + 1)
            # Half of the range is kept free to grow into.
            self._tail = self._bits(_TAIL_BITS - 1)
        # A UUID like any other; made, told and sent in a tenth of the time.
        return pgproto.UUID(uuid7_number(self._unix_ms, self._tail).to_bytes(16, "big"))


class SystemRandomness:
    """Fit for secrets."""

    def __init__(self, clock: Clock) -> None:
        self._unit = random.SystemRandom().random
        self._ordered_ids = OrderedIds(clock, secrets.randbits)

    def unit(self) -> float:
        return self._unit()

    def bits(self, count: int) -> int:
        return secrets.randbits(count)

    def random_id(self) -> UUID:
        return UUID(int=secrets.randbits(128), version=4)

    def ordered_id(self) -> UUID:
        return self._ordered_ids.next()

    def ordered_ids(self, count: int) -> list[UUID]:
        return self._ordered_ids.many(count)


class SeededRandomness:
    """The same calls in the same order yield the same values. For tests and simulations, never for secrets."""

    def __init__(self, seed: int, clock: Clock) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable is what is wanted
        self._ordered_ids = OrderedIds(clock, self._random.getrandbits)

    def unit(self) -> float:
        return self._random.random()

    def bits(self, count: int) -> int:
        return self._random.getrandbits(count)

    def random_id(self) -> UUID:
        return UUID(int=self._random.getrandbits(128), version=4)

    def ordered_id(self) -> UUID:
        return self._ordered_ids.next()

    def ordered_ids(self, count: int) -> list[UUID]:
        return self._ordered_ids.many(count)
