"""Failures on demand: what a network and a database server do to their users."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import wraps
from threading import Lock
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from schedora.application.errors import StoreUnavailable

BEFORE_COMMIT: Final = "before commit"
"""Nothing of the transaction is kept."""
AFTER_COMMIT: Final = "after commit"
"""All of it is kept, and the caller does not learn so."""

P = ParamSpec("P")
R = TypeVar("R")

BEGIN: Final = "unit_of_work.begin"
_points: set[str] = {BEFORE_COMMIT, AFTER_COMMIT, BEGIN}


class Line(Protocol):
    """What lies between the store and those who call it: it may take its time, and raise ``StoreUnavailable``."""

    async def there(self, point: str) -> None:
        """On the way to the store."""
        ...

    async def back(self, point: str) -> None:
        """On the way back: it has done what it was asked for."""
        ...


class Faults:
    """Where the memory store fails next, with ``StoreUnavailable``, and the line to it.

    A point is ``BEFORE_COMMIT``, ``AFTER_COMMIT`` or a port's method, such as ``job_queue.sync``.
    """

    def __init__(self) -> None:
        self.away = False
        """While True every call fails."""
        self.frozen: asyncio.Event | None = None
        """While there is one, calls are taken and not answered until it is set."""
        self.hints_lost = False
        """While True wake-ups do not arrive and subscriptions say that they are not healthy."""
        self.signs_lost = False
        """While True neither signs of life nor run locks are noted or known."""
        self.line: Line | None = None
        """Where there is none, the store is next door."""
        self._guard = Lock()
        self._passed: Counter[str] = Counter()
        self._planned: set[tuple[str, int]] = set()

    def fail(self, point: str, nth: int = 1) -> None:
        """Makes the ``nth`` pass of this point from now on fail, once. Raises ``ValueError`` for a point that
        does not exist.
        """
        if point not in _points:
            raise ValueError(f"no such point: {point!r}; there are {', '.join(sorted(_points))}")
        if nth < 1:
            raise ValueError(f"nth counts from 1, not {nth}")
        with self._guard:
            self._planned.add((point, self._passed[point] + nth))

    def pass_by(self, point: str) -> None:
        """Raises ``StoreUnavailable`` if a failure is due here."""
        with self._guard:
            self._passed[point] += 1
            place = (point, self._passed[point])
            planned = place in self._planned
            self._planned.discard(place)
        if planned or self.away:
            raise StoreUnavailable(f"the memory store fails on demand: {point}")


class _Fallible(Protocol):
    @property
    def faults(self) -> Faults: ...


S = TypeVar("S", bound=_Fallible)


def fallible(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """Makes a port's method a point of failure, named after its file and itself."""
    point = f"{method.__module__.rpartition('.')[2]}.{method.__name__}"
    _points.add(point)

    @wraps(method)
    async def passing(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        faults = self.faults
        if faults.line is not None:
            await faults.line.there(point)
        faults.pass_by(point)
        if faults.frozen is not None:
            await faults.frozen.wait()
        answer = await method(self, *args, **kwargs)
        if faults.line is not None:
            await faults.line.back(point)
        return answer

    return passing
