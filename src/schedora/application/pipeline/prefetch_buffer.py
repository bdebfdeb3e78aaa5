"""Claimed jobs that wait for a slot."""

from collections import deque
from collections.abc import Set as AbstractSet
from datetime import timedelta

from schedora.application.pipeline.suspects import Suspects
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import LeaseId


class PrefetchBuffer:
    """Those that may start at once when a slot is free, oldest first; and apart from them the suspects, which wait to
    be called. Moments are on the monotonic clock.
    """

    def __init__(self, suspects: Suspects) -> None:
        self.suspects = suspects
        self._ready: deque[tuple[timedelta, ClaimedJob]] = deque()

    @property
    def ready(self) -> int:
        """How many may start at once."""
        return len(self._ready)

    @property
    def waiting_since(self) -> timedelta | None:
        """Since when the first of all waits that have no slot."""
        suspects_since = self.suspects.oldest
        if not self._ready:
            return suspects_since
        return self._ready[0][0] if suspects_since is None else min(self._ready[0][0], suspects_since)

    def leases(self) -> AbstractSet[LeaseId]:
        return {job.lease_id for _, job in self._ready} | self.suspects.leases

    def add(self, job: ClaimedJob, now: timedelta) -> None:
        if job.suspect and job.started_at is None:
            self.suspects.add(job, now)
        else:
            self._ready.append((now, job))

    def take(self) -> ClaimedJob:
        """The next job to start. Raises ``IndexError`` if none is ready."""
        return self._ready.popleft()[1]

    def take_all(self) -> list[ClaimedJob]:
        waiting = [*(job for _, job in self._ready), *self.suspects.take_all()]
        self._ready.clear()
        return waiting

    def take_waiting_since(self, moment: timedelta) -> list[ClaimedJob]:
        """Those that have had no slot since ``moment``, suspects first."""
        late = self.suspects.take_waiting_since(moment)
        while self._ready and self._ready[0][0] <= moment:
            late.append(self.take())
        return late

    def has_waited_since(self, moment: timedelta) -> bool:
        """Whether a job that may start at once has had no slot since ``moment``."""
        return bool(self._ready) and self._ready[0][0] <= moment

    def forget(self, leases: AbstractSet[LeaseId]) -> None:
        """Drops the jobs under these leases."""
        self._ready = deque(entry for entry in self._ready if entry[1].lease_id not in leases)
        for lease_id in leases & self.suspects.leases:
            self.suspects.take(lease_id)

    def forget_ready(self) -> None:
        """Drops those that may start at once: nothing starts any more."""
        self._ready.clear()
