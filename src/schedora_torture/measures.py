"""How it went, in figures: throughput, pick-up, and how long it took to recover from each fault."""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import median

from attrs import frozen

from schedora.domain.completion import WORKER_LOST
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora_torture.faults import FaultKind
from schedora_torture.strikes import Strike

TAKES_JOBS_AWAY = frozenset({FaultKind.KILL_WORKER, FaultKind.FREEZE_WORKER})


@frozen(kw_only=True)
class Second:
    """One second: how many jobs ended in it, and how long each that became ready in it waited to be picked up, the shortest first."""

    at: int
    ended: int
    waits_ms: tuple[float, ...]

    @property
    def p50_ms(self) -> float | None:
        return quantile(self.waits_ms, 0.5) if self.waits_ms else None

    @property
    def p99_ms(self) -> float | None:
        return quantile(self.waits_ms, 0.99) if self.waits_ms else None


@frozen(kw_only=True)
class Recovery:
    """What followed one fault. ``first_done_seconds``: from its end until the next job had succeeded. ``elsewhere_seconds``:
    from its beginning until each job that its victim ran was running on another worker.
    """

    strike: Strike
    first_done_seconds: float | None
    elsewhere_seconds: tuple[float, ...] = ()


@frozen(kw_only=True)
class Spread:
    """Of figures of one sort: how many, and how they are spread."""

    amount: int
    median: float
    largest: float


def spread(figures: Iterable[float]) -> Spread | None:
    """None of nothing."""
    known = sorted(figures)
    return Spread(amount=len(known), median=median(known), largest=known[-1]) if known else None


def quantile(figures: Sequence[float], q: float) -> float:
    """The smallest of the sorted ``figures`` that so large a share of them does not exceed."""
    return figures[max(0, math.ceil(q * len(figures)) - 1)]


def pick_up(job: Job) -> tuple[datetime, float] | None:
    """When a job was ready for the first time, and for how many seconds it then waited; None where it depended on others, or
    was never picked up.
    """
    if job.request.depends_on:
        return None
    ready = max(job.created_at, job.request.scheduled_at or job.created_at)
    first = next((event.at for event in job.events() if event.to_state is JobState.SCHEDULED), None)
    return None if first is None else (ready, max(0.0, (first - ready).total_seconds()))


def seconds(jobs: Iterable[Job], began: datetime) -> list[Second]:
    """Each second from ``began`` until the last in which anything happened."""
    ended: dict[int, int] = {}
    waited: dict[int, list[float]] = {}
    for job in jobs:
        if job.completed_at is not None:
            at = _second(job.completed_at, began)
            ended[at] = ended.get(at, 0) + 1
        if (picked := pick_up(job)) is not None:
            waited.setdefault(_second(picked[0], began), []).append(picked[1])
    last = max([*ended, *waited], default=-1)
    return [
        Second(
            at=at,
            ended=ended.get(at, 0),
            waits_ms=tuple(sorted(seconds * 1000 for seconds in waited.get(at, []))),
        )
        for at in range(last + 1)
    ]


def _second(at: datetime, began: datetime) -> int:
    return max(0, int((at - began).total_seconds()))


def recoveries(strikes: Iterable[Strike], jobs: Iterable[Job], began: datetime) -> list[Recovery]:
    """In the order of the strikes' beginnings."""
    known = list(jobs)
    done = sorted(
        (job.completed_at - began).total_seconds()
        for job in known
        if job.status is JobState.SUCCESS and job.completed_at is not None
    )
    return [
        Recovery(
            strike=strike,
            first_done_seconds=next(
                (at - strike.ended_seconds for at in done if at > strike.ended_seconds), None
            ),
            elsewhere_seconds=tuple(_elsewhere(strike, known, began))
            if strike.fault.kind in TAKES_JOBS_AWAY
            else (),
        )
        for strike in sorted(strikes, key=lambda strike: strike.began_seconds)
    ]


def _elsewhere(strike: Strike, jobs: Iterable[Job], began: datetime) -> Iterable[float]:
    for job in jobs:
        events = job.events()
        for position, event in enumerate(events[:-1]):
            lost = events[position + 1]
            if (
                event.to_state is JobState.RUNNING
                and event.worker_id == strike.victim
                and lost.to_state is JobState.FAILED
                and lost.reason == WORKER_LOST
                and (event.at - began).total_seconds() <= strike.began_seconds
                and (lost.at - began).total_seconds() >= strike.began_seconds
            ):
                again = next(
                    (
                        (later.at - began).total_seconds()
                        for later in events[position + 2 :]
                        if later.to_state is JobState.RUNNING
                    ),
                    None,
                )
                if again is not None:
                    yield again - strike.began_seconds
