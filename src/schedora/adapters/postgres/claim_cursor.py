"""Where in each lane the next claim starts to look.

The index keeps an entry for each job claimed before, for as long as any transaction might still see it. While one
is held open, or when vacuum can't keep up, claims from the beginning walk over more and more of them. Starting behind
the place last claimed passes over them, and over what came in before that place meanwhile: retries, jobs released,
late commits. So places are used only while claims from the beginning are slow and claims behind places are not, and
even then one claim in about twenty starts from the beginning, and one in ``PASSED_OVER_SECONDS_MAX`` at least.

What may be relied on: a claim from the beginning passes over nothing, and the first claim later than
``PASSED_OVER_SECONDS_MAX`` after the last one from the beginning is one. What it sees and does not take, none of the
claims behind places passes over until the next. So no job is passed over that has been ready for longer than that.
Lanes without a place are read from their beginning.

A hint: forgetting it costs time, never a job.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from attrs import frozen

from schedora.adapters.postgres.session import Row

PASSED_OVER_SECONDS_MAX = 2.0
"""Between two claims from the beginning, when the others start behind places."""

_SHARE = 20
"""A claim from the beginning may take one part in so many of the time."""

_SLOW_SECONDS, _SLOW_SECONDS_PER_JOB = 0.002, 0.000_01
"""A claim takes this and so much for each job when it walks over nothing, or hardly more."""

_PAYS = 1.5
"""So many times as long as one behind places a claim from the beginning must take to be suppressed."""

_DOUBT_SECONDS = 1.0
"""For so long places are not tried again after they did not pay."""

_LANES_MAX = 64
"""Each place costs a claim two looks into the index."""

_LATE_COMMIT = timedelta(seconds=1)
"""By so much transactions may commit out of order and still be seen at once by claims that have caught up."""

_FIRST_ID = UUID(int=0)


class Lane(NamedTuple):
    tenant_id: int
    queue: str
    priority: int
    type: str


class Place(NamedTuple):
    scheduled_at: datetime
    job_id: UUID


@frozen
class Start:
    """Where one claim starts."""

    places: tuple[tuple[Lane, Place], ...] = ()
    heads_limit: int = 0
    """Of so many lanes it should tell the first job."""
    walks: int = 0
    """How many claims from the beginning were over by then."""

    @property
    def behind(self) -> bool:
        """Whether it may pass over jobs."""
        return bool(self.places)

    @property
    def plain(self) -> bool:
        """Whether it is as if there were no cursor."""
        return not self.places and not self.heads_limit

    @property
    def parameters(self) -> dict[str, Any]:
        """Those of ``claim.sql`` that say where to start and what to tell of the lanes."""
        return {
            "heads_limit": self.heads_limit,
            "known_tenant_id": [lane.tenant_id for lane, _ in self.places],
            "known_queue": [lane.queue for lane, _ in self.places],
            "known_priority": [lane.priority for lane, _ in self.places],
            "known_type": [lane.type for lane, _ in self.places],
            "known_at": [place.scheduled_at for _, place in self.places],
            "known_id": [place.job_id for _, place in self.places],
        }


BEGINNING = Start()


class ClaimCursor:
    """The place last claimed in each lane, while it pays to know it. Claims may overlap, on one event loop."""

    def __init__(self, monotonic_seconds: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_seconds = monotonic_seconds
        self._places: dict[Lane, Place] = {}
        self._used = False
        self._slow_before = False
        self._caught_up = False
        self._walks = 0
        self._walk_seconds = 0.0
        self._restart_at = 0.0
        self._doubted_until = 0.0

    def start(self) -> Start:
        """Where the next claim starts."""
        if not self._used or self.restart_in() == timedelta(0):
            return Start(heads_limit=_LANES_MAX if self._slow_before else 0, walks=self._walks)
        if not self._caught_up:
            return Start(tuple(self._places.items()), walks=self._walks)
        # Hardly anything stands there that was not claimed lately, so that reading it again costs little.
        return Start(
            tuple(
                (lane, Place(_before(place.scheduled_at), _FIRST_ID)) for lane, place in self._places.items()
            ),
            walks=self._walks,
        )

    def finish(
        self, start: Start, answer: Row, claimed: Sequence[Row], *, full: bool, jobs: int | None = None
    ) -> None:
        """What came of the claim: the first row, the rows of its jobs in their order, and whether those are as many
        as were asked for. Where not every job has a row, but the last of each lane, ``jobs`` says how many there are.
        """
        now = self._monotonic_seconds()
        self._caught_up = not full
        seconds = answer["sought_seconds"] or 0.0
        beyond_seconds = seconds - _SLOW_SECONDS_PER_JOB * (len(claimed) if jobs is None else jobs)
        if start.behind:
            if not self._pays(beyond_seconds):
                self._used = False
                self._doubted_until = now + _DOUBT_SECONDS
            if start.walks == self._walks:  # a later one from the beginning knows better
                self._remember(claimed)
            return
        self._walks += 1
        slow = self._is_slow(beyond_seconds)
        # Any process may have to wait for its processor once.
        self._used = slow and self._slow_before and now >= self._doubted_until
        self._slow_before = slow
        self._walk_seconds = beyond_seconds
        self._restart_at = now + min(_SHARE * seconds, PASSED_OVER_SECONDS_MAX)
        if self._used:
            self._learn(_heads(answer["heads"]))
            self._remember(claimed)
        else:
            self._places.clear()

    def restart_in(self) -> timedelta:
        """How long claims may still start behind places; zero if they don't, or not any more."""
        if not self._used or not self._places:
            return timedelta(0)
        return timedelta(seconds=max(0.0, self._restart_at - self._monotonic_seconds()))

    def _is_slow(self, beyond_seconds: float) -> bool:
        return beyond_seconds > _SLOW_SECONDS

    def _pays(self, beyond_seconds: float) -> bool:
        return beyond_seconds * _PAYS < self._walk_seconds

    def _learn(self, heads: dict[Lane, Place]) -> None:
        """Behind these nothing stands in their lanes; a lane that is not among them was empty, if all were told."""
        if len(heads) == _LANES_MAX:
            self._places.clear()
        self._places |= heads

    def _remember(self, claimed: Sequence[Row]) -> None:
        if not self._used:
            return
        for row in claimed:
            lane = Lane(row["tenant_id"], row["queue"], row["priority"], row["type"])
            self._places.pop(lane, None)
            self._places[lane] = Place(row["scheduled_at"], row["job_id"])
        while len(self._places) > _LANES_MAX:
            del self._places[next(iter(self._places))]


def _heads(told: str | None) -> dict[Lane, Place]:
    """The place right before the first job of each lane."""
    return {
        Lane(tenant_id, queue, priority, job_type): Place(
            datetime.fromisoformat(scheduled_at), UUID(int=max(0, UUID(job_id).int - 1))
        )
        for tenant_id, queue, priority, job_type, scheduled_at, job_id in orjson.loads(told or "[]")
    }


def _before(instant: datetime) -> datetime:
    earliest = datetime.min.replace(tzinfo=UTC) + _LATE_COMMIT
    return max(instant, earliest) - _LATE_COMMIT
