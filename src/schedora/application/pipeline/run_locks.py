"""Which runs hold a lock: those that last, from a while after their start until their outcome is decided.

Most jobs end sooner, and their locks would cost more than they protect. Whoever keeps the locks is told in batches,
beside the hot path, and nothing here waits for it.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from threading import Lock
from typing import Protocol

from schedora.application.pipeline.run import Run
from schedora.application.pipeline.runs import Runs
from schedora.application.ports.clock import Clock
from schedora.application.ports.run_locks import RunLock
from schedora.domain.ids import LeaseId

PACES = 4
"""So many times while a run has to last for a lock the keeper can be told: a lock is released before whoever runs the
job next takes it.
"""
RELEASED_MAX = 10_000
"""So many releases wait for whoever keeps the locks; of more than that the oldest expire by themselves."""


class RunLockKeeper(Protocol):
    """Who keeps the locks, seen from the worker's loop."""

    def keep(self, taken: Sequence[RunLock], released: Sequence[RunLock]) -> None:
        """Soon. Never blocks, never raises."""
        ...


class RunLocking:
    """Tells the keeper which runs have lasted for ``after``, and which of them are over. Without one no run has a lock."""

    def __init__(self, *, runs: Runs, keeper: RunLockKeeper | None, clock: Clock, after: timedelta) -> None:
        self._runs = runs
        self._keeper = keeper
        self._clock = clock
        self._after = after
        self._pace = after / PACES
        self._tell_at = clock.monotonic()
        self._seen = timedelta.min
        """Runs that began up to then have been looked at."""
        self.contested: set[LeaseId] = set()
        """Whose locks another lease held, until ``confirmed``."""

    def tell(self) -> None:
        """Called at each turn of the worker's loop, often with nothing to do."""
        if self._keeper is None or (now := self._clock.monotonic()) < self._tell_at:
            return
        self._tell_at = now + self._pace
        lasting = self._lasting(now - self._after)
        if lasting or self._runs.unlocked:
            self._keeper.keep(_locks(lasting), _locks(self._runs.unlocked))
            self._runs.unlocked.clear()

    @property
    def next_at(self) -> timedelta | None:
        """When ``tell`` will have something to do, on the monotonic clock, unless something happens before."""
        if self._keeper is None:
            return None
        if self._runs.unlocked:
            return self._tell_at
        newest = next(reversed(self._runs.running.values()), None)
        if newest is None or newest.began <= self._seen:
            return None
        return max(self._tell_at, newest.began + self._after)

    def confirmed(self, asked: Collection[LeaseId]) -> None:
        """The store was asked about these, and whichever is still at hand is this worker's, whatever a lock says."""
        self.contested.difference_update(asked)
        runs = [self._runs.running[lease_id] for lease_id in asked if lease_id in self._runs.running]
        if self._keeper is not None and (upheld := [run for run in runs if not run.settled]):
            self._keeper.keep(_locks(upheld), [])

    def _lasting(self, began_by: timedelta) -> list[Run]:
        """Runs that were not looked at and began up to this moment. They are in the order of their beginnings."""
        lasting = []
        for run in reversed(self._runs.running.values()):
            if run.began <= self._seen:
                break
            if run.began <= began_by and not run.settled:
                run.locked = True
                lasting.append(run)
        self._seen = max(self._seen, began_by)
        return lasting


class Handover:
    """Locks to take and to release, on their way from one thread to another.

    Never more than there are runs, and ``RELEASED_MAX``.
    """

    def __init__(self) -> None:
        self._guard = Lock()
        self._taken: dict[LeaseId, RunLock] = {}
        self._released: dict[LeaseId, RunLock] = {}
        self._drawn: set[LeaseId] = set()
        """Of those that were drawn to be taken, and not yet to be released."""

    def put(self, taken: Collection[RunLock], released: Collection[RunLock]) -> bool:
        """Whether nothing lay here before: then whoever draws has to be told."""
        with self._guard:
            empty = not self._taken and not self._released
            for lock in taken:
                self._taken[lock.lease_id] = lock
            for lock in released:
                never_drawn = self._taken.pop(lock.lease_id, None) and lock.lease_id not in self._drawn
                if not never_drawn:  # what is taken once more is held already
                    self._released[lock.lease_id] = lock
            while len(self._released) > RELEASED_MAX:
                oldest = next(iter(self._released))
                del self._released[oldest]
                self._drawn.discard(oldest)
        return empty

    def draw(self) -> tuple[list[RunLock], list[RunLock]]:
        """What is to be taken, and what to be released."""
        with self._guard:
            taken, self._taken = self._taken, {}
            released, self._released = self._released, {}
            self._drawn.update(taken)
            self._drawn.difference_update(released)
        return list(taken.values()), list(released.values())


def _locks(runs: Collection[Run]) -> list[RunLock]:
    return [RunLock(run.job.job_id, run.job.lease_id) for run in runs]
