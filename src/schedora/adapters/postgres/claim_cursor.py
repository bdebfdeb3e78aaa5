"""Where in each lane the next claim starts to look.

The index keeps an entry for each job claimed before, for as long as any transaction might still see it. While one
is held open, or when vacuum can't keep up, claims walk over more and more of them. Starting behind the place last
claimed passes over them; what came in before that place meanwhile (retries, jobs handed back, late commits) waits
for the next claim that starts at the beginning. So the cursor is used only while claims from the beginning are slow,
and even then one in about twenty starts there: each may cost a twentieth of the time until the next.

A hint: forgetting it costs time, never a job.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from schedora.adapters.postgres.session import Row

_SLOW = 1.5
"""So many times as long as the quickest claim of its size takes a claim that walks over something."""

_SHARE = 20
"""A claim from the beginning may take one part in so many of the time."""

_FORGET = 1.01
"""The quickest claim was quick under the conditions of then."""


class Lane(NamedTuple):
    tenant_id: int
    queue: str
    priority: int
    type: str


class Place(NamedTuple):
    scheduled_at: datetime
    job_id: UUID


class ClaimCursor:
    """The place last claimed in each lane, while it pays to know it. Not shared between tasks."""

    def __init__(self, monotonic_seconds: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_seconds = monotonic_seconds
        self._places: dict[Lane, Place] = {}
        self._quickest_seconds: dict[int, float] = {}
        self._since_seconds = 0.0
        self._restart_seconds = 0.0
        self.behind = False
        """Whether the claim under way starts behind places, and so may pass over jobs."""

    def start(self) -> dict[str, list[Any]]:
        """Begins a claim: the parameters of ``claim.sql`` whose names begin with ``known_``."""
        self._since_seconds = self._monotonic_seconds()
        if self._since_seconds >= self._restart_seconds:
            self._places.clear()
        self.behind = bool(self._places)
        return {
            "known_tenant_id": [lane.tenant_id for lane in self._places],
            "known_queue": [lane.queue for lane in self._places],
            "known_priority": [lane.priority for lane in self._places],
            "known_type": [lane.type for lane in self._places],
            "known_at": [place.scheduled_at for place in self._places.values()],
            "known_id": [place.job_id for place in self._places.values()],
        }

    def finish(self, claimed: Sequence[Row], *, full: bool) -> None:
        """Ends it, with the rows of the jobs claimed in their order; ``full``: as many as were asked for."""
        now_seconds = self._monotonic_seconds()
        if not full:
            # There is nothing behind: the next claim has all the lanes to itself, from the beginning.
            self._restart_seconds = now_seconds
            return
        if not self.behind:
            took_seconds = now_seconds - self._since_seconds
            slow = took_seconds > _SLOW * self._quickest(len(claimed), took_seconds)
            self._restart_seconds = now_seconds + (_SHARE * took_seconds if slow else 0)
        for row in claimed:
            lane = Lane(row["tenant_id"], row["queue"], row["priority"], row["type"])
            self._places[lane] = Place(row["scheduled_at"], row["job_id"])

    def _quickest(self, count: int, took_seconds: float) -> float:
        """Of the claims of about this size, the one before counting a little more each time."""
        size = count.bit_length()
        self._quickest_seconds[size] = min(
            took_seconds, _FORGET * self._quickest_seconds.get(size, took_seconds)
        )
        return self._quickest_seconds[size]


NO_PLACES = ClaimCursor().start()
