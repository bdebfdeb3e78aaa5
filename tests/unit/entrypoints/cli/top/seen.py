"""What a board may be told, with only the matter of the test spelt out."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from schedora.domain.ids import JobId, WorkerId
from schedora.domain.job_state import JobState
from schedora.domain.worker import WorkerState
from schedora.entrypoints.cli.top.board import Failure, Look
from schedora.entrypoints.cli.top.exposition import Exposed, TypeTotals
from schedora.entrypoints.sdk.api_views import (
    HealthView,
    QueueFigures,
    QueueStats,
    RetentionView,
    WorkerCounts,
    WorkerView,
)

NOW = datetime(2030, 1, 31, 8, tzinfo=UTC)
KEPT = RetentionView(success_seconds=None, canceled_seconds=None, dead_seconds=None)


def queue(waiting: int = 0, running: int = 0, dead: int = 0, **more: Any) -> QueueFigures:
    return QueueFigures(
        pending_jobs=waiting,
        running_jobs=running,
        dlq_jobs=dead,
        by_status={JobState.RETRYING: more.get("retrying", 0)},
        paused=more.get("paused", False),
        oldest_ready_seconds=more.get("oldest_ready_seconds"),
        retention=KEPT,
    )


def stats(
    queues: Mapping[str, QueueFigures] | None = None, unhandled_types: tuple[str, ...] = ()
) -> QueueStats:
    queues = queues or {}
    return QueueStats(
        pending_jobs=sum(one.pending_jobs for one in queues.values()),
        running_jobs=sum(one.running_jobs for one in queues.values()),
        dlq_jobs=sum(one.dlq_jobs for one in queues.values()),
        by_status={},
        oldest_ready_seconds=None,
        unhandled_types=unhandled_types,
        queues=queues,
    )


def worker(worker_id: str = "w1", **more: Any) -> WorkerView:
    told: dict[str, Any] = {
        "incarnation_id": UUID(int=sum(worker_id.encode())), "status": WorkerState.ACTIVE, "hostname": "host",
        "pid": 1, "version": "1", "max_concurrent_jobs": 10, "running_jobs": 0, "queues": (), "types": (),
        "registered_at": NOW, "last_heartbeat": NOW, "cpu_percent": None, "memory_percent": None,
    }  # fmt: skip
    return WorkerView(worker_id=WorkerId(worker_id), **{**told, **more})


def health(status: str = "healthy", active: int = 1, stale: int = 0) -> HealthView:
    workers = WorkerCounts(total=active + stale, active=active, stale=stale)
    return HealthView(status=status, database="up", redis="up", workers=workers)


def look(
    at: float,
    totals: Mapping[str, TypeTotals] | None = None,
    *,
    queues: Mapping[str, QueueFigures] | None = None,
    workers: Iterable[WorkerView] = (),
    unhandled_types: tuple[str, ...] = (),
    healthy: HealthView | None = None,
    slots_used: Mapping[str, int] | None = None,
) -> Look:
    return Look(
        at=at,
        now=NOW + timedelta(seconds=at),
        stats=stats(queues, unhandled_types),
        workers=tuple(workers),
        exposed=Exposed(totals=totals or {}, slots_used=slots_used or {}),
        health=healthy or health(),
    )


def failure(number: int, **more: Any) -> Failure:
    told: dict[str, Any] = {
        "type": "mail", "queue": "default", "at": NOW + timedelta(seconds=number), "attempt": 1,
        "worker_id": WorkerId("w1"), "kind": "OSError", "came_to": JobState.RETRYING,
    }  # fmt: skip
    return Failure(job_id=JobId(UUID(int=number)), **{**told, **more})
