"""What is known of one job and of what it needs to run."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from schedora.adapters.postgres import rows
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.session import Row
from schedora.adapters.postgres.statements import load
from schedora.application.ports.explain_inputs_reader import HOPS_MAX, LANES_MAX, UPSTREAM_MAX
from schedora.application.ports.metrics import Gauge
from schedora.diagnosis.why.inputs import (
    CandidateWorker,
    ExplainInputs,
    LeaseHolder,
    QueuePosition,
    UnfinishedUpstream,
)
from schedora.domain.ids import DEFAULT_TENANT, JobId, WorkerId
from schedora.domain.job_state import JobState
from schedora.domain.process import FRESH_FOR
from schedora.domain.worker import WorkerState

_PATIENCE_SECONDS = 1.0
"""Counting takes milliseconds, unless a snapshot that somebody holds keeps the index full of what was claimed since."""


class PostgresExplainInputsReader:
    def __init__(self, database: Database, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._database = database
        self._patience_seconds = patience_seconds

    async def inputs(self, job_id: JobId) -> ExplainInputs | None:
        found = await self._database.fetch(
            load("explain_inputs"), job_id=job_id, hops_max=HOPS_MAX, upstream_max=UPSTREAM_MAX
        )
        return _inputs(found[0]) if found else None

    async def position(self, inputs: ExplainInputs, *, ahead_max: int) -> QueuePosition | None:
        try:
            async with asyncio.timeout(self._patience_seconds):
                (row,) = await self._database.fetch(
                    load("queue_position"),
                    tenant_id=DEFAULT_TENANT,
                    type=inputs.type,
                    queue=inputs.queue,
                    priority=inputs.priority,
                    scheduled_at=inputs.scheduled_at,
                    job_id=inputs.job_id,
                    ahead_max=ahead_max,
                    lanes_max=LANES_MAX,
                    fresh_for=FRESH_FOR,
                    rate_gauge=Gauge.WORKER_CLAIM_RATE.value,
                )
        except TimeoutError:
            return None
        return QueuePosition(
            ahead=min(row["amount"], ahead_max),
            at_least=row["amount"] > ahead_max or not row["all_lanes"],
            claims_per_second=row["per_second"],
        )


def _inputs(row: Row) -> ExplainInputs:
    causes = [(cause.pop("is_root"), cause) for cause in _decoded(row["upstream"])]
    roots = [_upstream(cause) for is_root, cause in causes if is_root]
    holder = _holder(row) if row["owner"] is not None else None
    running = holder is not None and holder.started_at is not None
    status = JobState(row["status"])
    if holder is not None:
        status = JobState.RUNNING if running else JobState.SCHEDULED
    return ExplainInputs(
        at=row["at"],
        job_id=JobId(row["job_id"]),
        type=row["type"],
        queue=row["queue"],
        priority=row["priority"],
        status=status,
        created_at=row["created_at"],
        scheduled_at=row["scheduled_at"],
        timeout=timedelta(microseconds=row["timeout_us"]),
        waits_for=row["waits_for"],
        attempt=row["attempt"] + running,
        worker_id=row["worker_id"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        last_move=rows.event(orjson.loads(row["last_move"])) if row["last_move"] else None,
        last_error=rows.attempt_error(orjson.loads(row["last_error"])) if row["last_error"] else None,
        released_at=row["released_at"],
        paused_at=row["paused_at"],
        holder=holder,
        upstream=tuple(_upstream(cause) for is_root, cause in causes if not is_root),
        root=roots[0] if roots else None,
        workers=tuple(_worker(worker) for worker in _decoded(row["workers"])),
    )


def _holder(row: Row) -> LeaseHolder:
    return LeaseHolder(
        worker_id=WorkerId(row["held_worker_id"]),
        claimed_at=row["held_claimed_at"],
        started_at=row["held_started_at"],
        status=WorkerState(row["holder_status"]) if row["holder_status"] else None,
        last_heartbeat=row["holder_last_heartbeat"],
        slots=row["holder_slots"],
        running_jobs=row["holder_running_jobs"],
    )


def _upstream(stored: dict[str, Any]) -> UnfinishedUpstream:
    told = {
        "job_id": JobId(UUID(stored["job_id"])),
        "status": JobState(stored["status"]),
        "since": datetime.fromisoformat(stored["since"]),
    }
    return UnfinishedUpstream(**{**stored, **told})


def _worker(stored: dict[str, Any]) -> CandidateWorker:
    told = {
        "status": WorkerState(stored["status"]),
        "last_heartbeat": datetime.fromisoformat(stored["last_heartbeat"]),
    }
    return CandidateWorker(**{**stored, **told})


def _decoded(document: str | None) -> list[dict[str, Any]]:
    return list(orjson.loads(document)) if document else []
