"""Queues and the dead letter queue: filters and figures."""

from collections import Counter
from datetime import timedelta
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from schedora.application.ports.queues import QueueStats, Stats
from schedora.domain.job_state import JobState
from schedora.domain.queue import Queue
from schedora.domain.retention import RETENTION_MAX, RETENTION_MIN, QueueRetention
from schedora.entrypoints.api.answers import seconds
from schedora.entrypoints.api.schemas.fields import (
    Body,
    Cursor,
    FilterName,
    OfErrorKind,
    OfQueue,
    OfType,
    QueryString,
    Utc,
)
from schedora.entrypoints.api.schemas.jobs import LIMIT_DEFAULT, Limit

PENDING = (JobState.PENDING, JobState.SCHEDULED, JobState.RETRYING)
"""Not begun, or not begun again: as in a workflow's counts."""


Kept = Annotated[float, Field(ge=RETENTION_MIN.total_seconds(), le=RETENTION_MAX.total_seconds())]


class RetentionView(TypedDict):
    """For how long the queue keeps its ended jobs; null: as long as the settings say for all."""

    success_seconds: float | None
    canceled_seconds: float | None
    dead_seconds: float | None


class QueueStatsView(TypedDict):
    pending_jobs: int
    running_jobs: int
    dlq_jobs: int
    by_status: dict[str, int]
    paused: bool
    oldest_ready_seconds: float | None
    retention: RetentionView


class StatsView(TypedDict):
    """``oldest_ready_seconds``: for how long the oldest job that could run has been waiting.
    ``unhandled_types``: types of waiting jobs that no live worker has a handler for. ``counted_seconds_ago``: 0 unless more
    than 100,000 jobs wait.
    """

    pending_jobs: int
    running_jobs: int
    dlq_jobs: int
    by_status: dict[str, int]
    oldest_ready_seconds: float | None
    unhandled_types: list[str]
    counted_seconds_ago: float
    queues: dict[str, QueueStatsView]


class PurgedView(TypedDict):
    message: str
    purged: int


class QueueView(TypedDict):
    queue: str
    paused: bool
    paused_at: Utc | None


class QueueRetentionView(RetentionView):
    queue: str


class RequeuedView(TypedDict):
    requeued: int


class RetentionChange(Body):
    """For how long a queue keeps its ended jobs, by their state; null or left out: as long as the settings say."""

    success_seconds: Kept | None = None
    canceled_seconds: Kept | None = None
    dead_seconds: Kept | None = None

    def retention(self) -> QueueRetention:
        return QueueRetention(
            success=_span(self.success_seconds),
            canceled=_span(self.canceled_seconds),
            dead=_span(self.dead_seconds),
        )


class PurgeQuery(QueryString):
    queue: OfQueue = None


class DlqQuery(QueryString):
    type: OfType = None
    queue: OfQueue = None
    error_kind: OfErrorKind = None
    limit: Limit = LIMIT_DEFAULT
    cursor: Cursor = None


class DlqFilterQuery(QueryString):
    type: OfType = None
    queue: OfQueue = None
    error_kind: OfErrorKind = None


class DlqFilter(Body):
    """Which dead jobs: none of the three means all. ``error_kind`` is that of the newest failed attempt."""

    type: FilterName | None = None
    queue: FilterName | None = None
    error_kind: FilterName | None = None


def queue_view(queue: Queue) -> QueueView:
    return {"queue": queue.name, "paused": queue.paused, "paused_at": queue.paused_at}


def queue_retention_view(queue: Queue) -> QueueRetentionView:
    return {"queue": queue.name, **_retention_view(queue.retention)}


def stats_view(stats: Stats) -> StatsView:
    total: Counter[JobState] = Counter()
    for queue in stats.by_queue.values():
        total.update(queue.by_status)
    ages = [queue.oldest_ready for queue in stats.by_queue.values() if queue.oldest_ready is not None]
    whole = _queue_stats_view(QueueStats(by_status=total, oldest_ready=max(ages, default=None)))
    return {
        "pending_jobs": whole["pending_jobs"],
        "running_jobs": whole["running_jobs"],
        "dlq_jobs": whole["dlq_jobs"],
        "by_status": whole["by_status"],
        "oldest_ready_seconds": whole["oldest_ready_seconds"],
        "unhandled_types": list(stats.unhandled_types),
        "counted_seconds_ago": seconds(stats.age),
        "queues": {name: _queue_stats_view(queue) for name, queue in stats.by_queue.items()},
    }


def _queue_stats_view(queue: QueueStats) -> QueueStatsView:
    by_status: Counter[JobState] = Counter(queue.by_status)
    return {
        "pending_jobs": sum(by_status[state] for state in PENDING),
        "running_jobs": by_status[JobState.RUNNING],
        "dlq_jobs": by_status[JobState.DEAD],
        "by_status": {state.value: by_status[state] for state in JobState},
        "paused": queue.paused,
        "oldest_ready_seconds": None if queue.oldest_ready is None else seconds(queue.oldest_ready),
        "retention": _retention_view(queue.retention),
    }


def _retention_view(retention: QueueRetention) -> RetentionView:
    return {
        "success_seconds": None if retention.success is None else seconds(retention.success),
        "canceled_seconds": None if retention.canceled is None else seconds(retention.canceled),
        "dead_seconds": None if retention.dead is None else seconds(retention.dead),
    }


def _span(given: float | None) -> timedelta | None:
    return None if given is None else timedelta(seconds=given)
