"""What ``schedora top`` knows, and what follows from it: rates, lengths, failures. No I/O and no clock here.

Counts and lengths are the differences of counters that all processes share, so they are exact however much happens. Single
failures are told one by one, and where there are more than anybody could read, some of them.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any, TypeVar

import attrs
from attrs import frozen

from schedora.domain.ids import JobId, WorkerId
from schedora.domain.job_state import JobState
from schedora.domain.worker import WorkerState
from schedora.entrypoints.cli.top.exposition import NOTHING, Exposed, TypeTotals
from schedora.entrypoints.sdk.api_views import HealthView, QueueFigures, QueueStats, WorkerView

Row = TypeVar("Row")

RATE_SECONDS = 10.0
"""A rate is that of so long: each process brings its counts in once a second, so shorter ones would leap."""

WINDOW_SECONDS = 300.0
"""Shares and percentiles are those of so long."""

POINTS_MAX = 600
"""Of a curve: one for each look."""

FAILURES_MAX = 200
MESSAGES_MAX = 16
"""Of failures whose message is asked for, at each look: the newest are read first."""

READINGS_APART_SECONDS = 5.0
"""Between two that are kept for as long as the window."""


class Order(StrEnum):
    """Of job types."""

    FAILING = "failing"
    SLOWEST = "slowest"
    BUSIEST = "busiest"

    @property
    def next(self) -> "Order":
        orders = list(Order)
        return orders[(orders.index(self) + 1) % len(orders)]


@frozen(kw_only=True)
class Look:
    """All that was read at one moment, ``at`` seconds on a clock that only goes forward."""

    at: float
    now: datetime
    stats: QueueStats
    workers: tuple[WorkerView, ...]
    exposed: Exposed
    health: HealthView


@frozen(kw_only=True)
class Rates:
    """Each second. ``failed`` counts attempts; None: not known yet."""

    submitted: float | None = None
    done: float | None = None
    failed: float | None = None


@frozen(kw_only=True)
class QueueRow:
    name: str
    waiting: int
    running: int
    retrying: int
    dead: int
    oldest_ready_seconds: float | None
    paused: bool


@frozen(kw_only=True)
class WorkerRow:
    worker_id: WorkerId
    incarnation_id: str
    status: WorkerState
    slots_used: int | None
    """None: the process does not tell."""
    slots: int
    held: int
    """Jobs under its leases: those that run, those that wait for a slot, those whose end the store has not accepted yet."""
    queues: tuple[str, ...]
    cpu_percent: float | None
    memory_percent: float | None
    heartbeat_seconds_ago: float


@frozen(kw_only=True)
class TypeRow:
    """``failed_share`` and the lengths are those of the window; None where nothing ended in it. A length is estimated
    within a bucket of the histogram; infinite beyond the last.
    """

    type: str
    done_per_second: float | None
    failed_per_second: float | None
    failed: int
    failed_share: float | None
    p50_seconds: float | None
    p95_seconds: float | None


@frozen(kw_only=True)
class Failure:
    """One failed attempt. ``came_to``: RETRYING or DEAD."""

    job_id: JobId
    type: str
    queue: str
    at: datetime
    attempt: int
    worker_id: WorkerId | None
    kind: str
    came_to: JobState
    message: str | None = None

    @property
    def key(self) -> str:
        return f"{self.job_id}/{self.at.isoformat()}"


@frozen(kw_only=True)
class _Reading:
    """SharedCounters at one moment."""

    at: float
    totals: Mapping[str, TypeTotals]
    sums: TypeTotals


class Board:
    """Takes what is read, and tells what is to be shown."""

    def __init__(self, interval_seconds: float) -> None:
        self.look: Look | None = None
        self.away_since: float | None = None
        self.trouble: str | None = None
        """Why the last look failed; None when it did not."""
        self.failures_note: str | None = None
        """Which failures are shown, when these are not all of them."""
        self._interval_seconds = interval_seconds
        self._recent: deque[_Reading] = deque()
        self._long: deque[_Reading] = deque()
        self._points: deque[Rates] = deque(maxlen=POINTS_MAX)
        self._failures: dict[str, Failure] = {}

    # What is read

    def take(self, look: Look) -> None:
        """The server has answered."""
        self.look, self.away_since, self.trouble = look, None, None
        reading = _Reading(at=look.at, totals=look.exposed.totals, sums=_sums(look.exposed.totals.values()))
        if self._recent and _began_anew(self._recent[-1].sums, reading.sums):
            self._recent.clear()
            self._long.clear()
        if self._recent:
            before = self._recent[-1]
            missed = round((look.at - before.at) / self._interval_seconds) - 1
            self._points.extend([Rates()] * min(missed, POINTS_MAX))
            self._points.append(_rates(before, reading))
        _keep(self._recent, reading, RATE_SECONDS)
        if not self._long or look.at - self._long[-1].at >= READINGS_APART_SECONDS:
            _keep(self._long, reading, WINDOW_SECONDS)

    def lose(self, reason: str, at: float) -> None:
        """The server has not answered, or not as it should."""
        self.trouble = reason
        if self.away_since is None:
            self.away_since = at

    def take_failures(self, failures: Iterable[Failure]) -> None:
        """The same one again changes nothing."""
        for failure in failures:
            self._failures.setdefault(failure.key, failure)
        if len(self._failures) > FAILURES_MAX:
            newest = sorted(self._failures.values(), key=_when, reverse=True)[:FAILURES_MAX]
            self._failures = {failure.key: failure for failure in newest}

    def take_message(self, failure: Failure, message: str) -> None:
        if failure.key in self._failures:
            self._failures[failure.key] = attrs.evolve(failure, message=message)

    # What follows

    def without_message(self) -> list[Failure]:
        """The newest of those whose message is not known yet."""
        silent = (failure for failure in self.failures() if failure.message is None)
        return list(islice(silent, MESSAGES_MAX))

    def rates(self) -> Rates:
        if len(self._recent) < 2:
            return Rates()
        return _rates(self._recent[0], self._recent[-1])

    def curves(self, points_max: int) -> tuple[list[float | None], list[float | None], list[float | None]]:
        """Submitted, done and failed each second, oldest first; None for a look that did not take place."""
        points = list(self._points)[-points_max:]
        return (
            [rates.submitted for rates in points],
            [rates.done for rates in points],
            [rates.failed for rates in points],
        )

    def queues(self, fits: str = "") -> list[QueueRow]:
        """By name; ``fits`` is a part of one, in any case."""
        if self.look is None:
            return []
        rows = [_queue_row(name, figures) for name, figures in self.look.stats.queues.items()]
        return sorted(_fitting(rows, fits, lambda row: (row.name,)), key=lambda row: row.name)

    def workers(self, fits: str = "") -> list[WorkerRow]:
        """Those that live first."""
        if self.look is None:
            return []
        now = self.look.now
        used = self.look.exposed.slots_used
        rows = [_worker_row(worker, used.get(worker.worker_id), now) for worker in self.look.workers]
        fitting = _fitting(rows, fits, lambda row: (row.worker_id, *row.queues))
        return sorted(fitting, key=lambda row: (STATUS_ORDER.index(row.status), row.worker_id))

    def types(self, fits: str = "", order: Order = Order.FAILING, *, ever: bool = False) -> list[TypeRow]:
        """Those of which something was submitted or ended in the window, or ``ever`` since counting began."""
        if not self._recent:
            return []
        now, first = self._recent[-1], self._recent[0]
        begin = _NEVER if ever else self._long[0]
        rows = [_type_row(name, first, begin, now) for name in now.totals]
        seen = [row for row in rows if row is not None]
        return sorted(_fitting(seen, fits, lambda row: (row.type,)), key=_ORDERS[order])

    def failures(self, fits: str = "") -> list[Failure]:
        """Newest first."""
        fitting = _fitting(self._failures.values(), fits, lambda failure: (failure.type, failure.queue))
        return sorted(fitting, key=_when, reverse=True)

    def notes(self) -> list[str]:
        """What an operator has to know besides."""
        told = [] if self.trouble is None else [self.trouble]
        if self.look is None:
            return told
        if self.look.stats.unhandled_types:
            told.append(f"no live worker handles: {', '.join(self.look.stats.unhandled_types)}")
        if stale := self.look.health.workers.stale:
            told.append(f"{stale} stale worker{'s' if stale > 1 else ''}")
        if self.look.stats.pending_jobs and not self.look.health.workers.active:
            told.append("jobs wait and no worker is active")
        return told


_NEVER = _Reading(at=0.0, totals={}, sums=NOTHING)

STATUS_ORDER: Sequence[WorkerState] = (
    WorkerState.ACTIVE,
    WorkerState.DRAINING,
    WorkerState.STALE,
    WorkerState.STOPPED,
)


LIVING = frozenset({WorkerState.ACTIVE, WorkerState.DRAINING})


def _when(failure: Failure) -> datetime:
    return failure.at


def _keep(readings: deque[_Reading], reading: _Reading, seconds: float) -> None:
    """Of those that are too old, the newest stays: from there on the whole span is covered."""
    readings.append(reading)
    while len(readings) > 2 and reading.at - readings[1].at >= seconds:
        readings.popleft()


def _sums(totals: Iterable[TypeTotals]) -> TypeTotals:
    kept = list(totals)
    return TypeTotals(
        created=sum(one.created for one in kept),
        succeeded=sum(one.succeeded for one in kept),
        failed=sum(one.failed for one in kept),
    )


def _began_anew(before: TypeTotals, after: TypeTotals) -> bool:
    """Counters never go back, unless the server has another database now."""
    return after.created < before.created or after.succeeded < before.succeeded


def _rates(before: _Reading, after: _Reading) -> Rates:
    return Rates(
        submitted=_rate(before.sums.created, after.sums.created, before, after),
        done=_rate(before.sums.succeeded, after.sums.succeeded, before, after),
        failed=_rate(before.sums.failed, after.sums.failed, before, after),
    )


def _rate(before: float, after: float, first: _Reading, last: _Reading) -> float | None:
    span_seconds = last.at - first.at
    return max(0.0, after - before) / span_seconds if span_seconds > 0 else None


def _queue_row(name: str, figures: QueueFigures) -> QueueRow:
    retrying = figures.by_status.get(JobState.RETRYING, 0)
    return QueueRow(
        name=name,
        waiting=figures.pending_jobs - retrying,
        running=figures.running_jobs,
        retrying=retrying,
        dead=figures.dlq_jobs,
        oldest_ready_seconds=figures.oldest_ready_seconds,
        paused=figures.paused,
    )


def _worker_row(worker: WorkerView, slots_used: int | None, now: datetime) -> WorkerRow:
    return WorkerRow(
        worker_id=worker.worker_id,
        incarnation_id=str(worker.incarnation_id),
        status=worker.status,
        slots_used=slots_used if worker.status in LIVING else None,
        slots=worker.max_concurrent_jobs,
        held=worker.running_jobs,
        queues=worker.queues,
        cpu_percent=worker.cpu_percent,
        memory_percent=worker.memory_percent,
        heartbeat_seconds_ago=max(0.0, (now - worker.last_heartbeat).total_seconds()),
    )


def _type_row(name: str, first: _Reading, begin: _Reading, now: _Reading) -> TypeRow | None:
    """None for a type of which nothing has ended, and nothing was submitted, in the window."""
    last, recent, old = now.totals[name], first.totals.get(name, NOTHING), begin.totals.get(name, NOTHING)
    succeeded = max(0.0, last.succeeded - old.succeeded)
    failed = max(0.0, last.failed - old.failed)
    took = {bound: count - old.took.get(bound, 0.0) for bound, count in last.took.items()}
    if not (succeeded or failed or last.created > old.created):
        return None
    return TypeRow(
        type=name,
        done_per_second=_rate(recent.succeeded, last.succeeded, first, now),
        failed_per_second=_rate(recent.failed, last.failed, first, now),
        failed=round(failed),
        failed_share=failed / (succeeded + failed) if succeeded + failed else None,
        p50_seconds=percentile(took, 0.50),
        p95_seconds=percentile(took, 0.95),
    )


def percentile(counts: Mapping[float, float], share: float) -> float | None:
    """The length that ``share`` of all do not exceed, from counts of those within each bound: evenly spread within a
    bucket, as Prometheus takes it. Infinite beyond the last bound; None of nothing.
    """
    bounds = sorted(counts)
    total = counts[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return None
    wanted, below, lower = total * share, 0.0, 0.0
    for bound in bounds:
        within = counts[bound]
        if within >= wanted and within > below:
            if math.isinf(bound):
                return math.inf
            return lower + (bound - lower) * (wanted - below) / (within - below)
        below, lower = max(below, within), bound
    return math.inf


def _fitting(rows: Iterable[Row], fits: str, names: Callable[[Row], Sequence[str]]) -> list[Row]:
    part = fits.casefold()
    return [row for row in rows if not part or any(part in name.casefold() for name in names(row))]


def _falling(value: float | None) -> float:
    return -1.0 if value is None else value


_ORDERS: Mapping[Order, Callable[[TypeRow], tuple[Any, ...]]] = {
    Order.FAILING: lambda row: (
        -_falling(row.failed_per_second), -row.failed, -_falling(row.p95_seconds), row.type,
    ),
    Order.SLOWEST: lambda row: (-_falling(row.p95_seconds), -_falling(row.p50_seconds), row.type),
    Order.BUSIEST: lambda row: (-_falling(row.done_per_second), -row.failed, row.type),
}  # fmt: skip
