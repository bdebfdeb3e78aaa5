"""The claimable jobs in the order of claims, so that no claim sorts and none walks over delayed jobs."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from datetime import datetime
from heapq import merge
from itertools import chain, groupby
from typing import NamedTuple
from uuid import UUID

from schedora.domain.ids import JobId
from schedora.domain.job import Job

_LAST_ID = JobId(UUID(int=(1 << 128) - 1))


class Place(NamedTuple):
    """A job's place among those of its queue and priority."""

    scheduled_at: datetime
    job_id: JobId


class Ready:
    """One sorted line of places for each queue and priority: due ones first, delayed ones behind."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, int], list[Place]] = {}

    def __iter__(self) -> Iterator[Place]:
        """All of them, in no order."""
        return chain.from_iterable(self._lines.values())

    def add(self, job: Job) -> None:
        insort(self._lines.setdefault(_line_of(job), []), _place_of(job))

    def remove(self, job: Job) -> None:
        line = self._lines[_line_of(job)]
        del line[bisect_left(line, _place_of(job))]
        if not line:
            del self._lines[_line_of(job)]

    def oldest(self, queue: str) -> datetime | None:
        """The ``scheduled_at`` of the one in this queue that is or falls due first."""
        lines = (line for (of_queue, _), line in self._lines.items() if of_queue == queue)
        return min((line[0].scheduled_at for line in lines), default=None)

    def due(self, now: datetime, *, wanted: Callable[[str], bool]) -> Iterator[Place]:
        """Those of the wanted queues: high priority first, then ``scheduled_at``, then ``job_id``."""
        lines = sorted(((priority, line) for (queue, priority), line in self._lines.items() if wanted(queue)),
                       key=lambda entry: -entry[0])  # fmt: skip
        for _, of_one_priority in groupby(lines, key=lambda entry: entry[0]):
            yield from merge(*(_between(line, 0, _due_count(line, now)) for _, line in of_one_priority))

    def delayed(self, now: datetime, *, wanted: Callable[[str], bool]) -> Iterator[Place]:
        """Those of the wanted queues that are not due yet, the next one first."""
        lines = (line for (queue, _), line in self._lines.items() if wanted(queue))
        return merge(*(_between(line, _due_count(line, now), len(line)) for line in lines))


def _line_of(job: Job) -> tuple[str, int]:
    return job.request.queue, job.request.priority


def _place_of(job: Job) -> Place:
    return Place(job.scheduled_at, job.job_id)


def _due_count(line: list[Place], now: datetime) -> int:
    return bisect_right(line, Place(now, _LAST_ID))


def _between(line: list[Place], start: int, stop: int) -> Iterator[Place]:
    # By index: a slice would copy the whole backlog for the few that are taken.
    return (line[i] for i in range(start, stop))
