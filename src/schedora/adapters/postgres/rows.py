"""Rows of the tables as values of the domain."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson

from schedora.adapters.postgres.session import Row
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.events import AttemptError, JobEvent
from schedora.domain.ids import (
    IncarnationId,
    JobId,
    JsonText,
    LeaseId,
    LeaseToken,
    TenantId,
    WorkerId,
    WorkflowId,
)
from schedora.domain.job import Job
from schedora.domain.job_request import JobRequest
from schedora.domain.job_state import JobState
from schedora.domain.lease import Lease
from schedora.domain.retry import RetryKind, RetryPolicy
from schedora.domain.trace import TraceContext
from schedora.domain.worker import Worker, WorkerIdentity, WorkerState
from schedora.domain.workflow import JobCounts, Workflow

_STATES = {state.value: state for state in JobState}
_OWN = (
    "scheduled_ats", "job_ids", "lease_ids", "payloads", "workflow_ids", "keys", "depend_on", "traceparents",
    "created_ats", "started_ats",
)  # fmt: skip
"""What jobs of one claim do not share, by what they are sorted first."""


def job(row: Row) -> Job:
    lease = _lease(row)
    made: dict[str, Any] = {
        "job_id": row["job_id"],
        "tenant_id": TenantId(row["tenant_id"]),
        "request": _request(row),
        "trace": TraceContext.stored(row["traceparent"]),
        "scheduled_at": row["scheduled_at"],
        "waits_for": row["waits_for"],
        "retry_count": row["retry_count"],
        "worker_deaths": row["worker_deaths"],
        "suspect": row["suspect"],
        "created_at": row["created_at"],
        "completed_at": row["completed_at"],
        "error_message": row["error_message"],
        "errors": tuple(map(attempt_error, _decoded(row["errors"]))),
        "history": tuple(map(event, _decoded(row["history"]))),
        "result": row["result"],
    }
    if lease is None:
        return Job(
            **made,
            status=JobState(row["status"]),
            worker_id=row["worker_id"],
            attempt=row["attempt"],
            lease_token=LeaseToken(row["lease_token"]),
            claimed_at=row["claimed_at"],
            started_at=row["started_at"],
        )
    running = lease.started_at is not None
    return Job(
        **made,
        status=JobState.RUNNING if running else JobState.SCHEDULED,
        lease=lease,
        worker_id=lease.worker_id,
        attempt=row["attempt"] + running,
        lease_token=lease.token,
        claimed_at=lease.claimed_at,
        started_at=lease.started_at,
    )


def claimed_job(row: Row, owner: IncarnationId, worker_id: WorkerId) -> ClaimedJob:
    return ClaimedJob(
        job_id=row["job_id"],
        lease_id=row["lease_id"],
        lease_token=row["token"],
        owner=owner,
        worker_id=worker_id,
        type=row["type"],
        queue=row["queue"],
        priority=row["priority"],
        payload=row["payload"],
        waited_as=_STATES[row["status"]],
        attempt=row["attempt"],
        retry_count=row["retry_count"],
        worker_deaths=row["worker_deaths"],
        retry=_policy(row["retry_kind"], row["max_retries"], row["retry_base_us"], row["retry_max_us"]),
        timeout=_span(row["timeout_us"]),
        workflow_id=row["workflow_id"],
        key=row["key"],
        depends_on=tuple(depends_on) if (depends_on := row["depends_on"]) else (),
        traceparent=row["traceparent"],
        created_at=row["created_at"],
        scheduled_at=row["scheduled_at"],
        claimed_at=row["claimed_at"],
        started_at=row["started_at"],
        suspect=row["suspect"],
    )


def claimed_jobs(claims: Sequence[Row], owner: IncarnationId, worker_id: WorkerId) -> tuple[ClaimedJob, ...]:
    """The jobs of a claim in the order in which they should run. Each row has those that are alike."""
    claimed: list[ClaimedJob] = []
    for row in claims:
        at, token, priority = row["at"], row["token"], row["priority"]
        job_type, queue = row["type"], row["queue"]
        waited_as, attempt, retry_count = _STATES[row["status"]], row["attempt"], row["retry_count"]
        deaths, suspect, timeout = row["worker_deaths"], row["suspect"], _span(row["timeout_us"])
        policy = _policy(row["retry_kind"], row["max_retries"], row["retry_base_us"], row["retry_max_us"])
        own = zip(*map(row.__getitem__, _OWN), strict=True)
        claimed += [
            # By place: twenty-four names would take as long again.
            ClaimedJob(
                job_id, lease_id, token, owner, worker_id, job_type, queue, priority, payload, waited_as, attempt,
                retry_count, deaths, policy, timeout, workflow_id, key, (depends_on and _job_ids(depends_on)) or (),
                traceparent, created_at, scheduled_at, at, started_at, suspect,
            )
            for (
                scheduled_at, job_id, lease_id, payload, workflow_id, key, depends_on, traceparent, created_at,
                started_at,
            ) in sorted(own)
        ]  # fmt: skip
    if len(claims) > 1:
        claimed.sort(key=running_order)
    return tuple(claimed)


def last_of_each(claims: Sequence[Row]) -> list[dict[str, Any]]:
    """The place of the last job in each row of a claim, in the order of those places."""
    lasts = [
        {
            **{name: row[name] for name in ("tenant_id", "queue", "priority", "type")},
            "scheduled_at": at,
            "job_id": job_id,
        }
        for row in claims
        for at, job_id in [max(zip(row["scheduled_ats"], row["job_ids"], strict=True))]
    ]
    return sorted(lasts, key=lambda last: (last["scheduled_at"], last["job_id"]))


def running_order(claimed: ClaimedJob) -> tuple[int, datetime, JobId]:
    """The sort key by which claimed jobs should run."""
    return -claimed.priority, claimed.scheduled_at, claimed.job_id


def workflow(row: Row) -> Workflow:
    return Workflow(
        workflow_id=WorkflowId(row["workflow_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        name=row["name"],
        description=row["description"],
        config=JsonText(row["config"]),
        created_at=row["created_at"],
        completed_at=row["completed_at"],
        canceled_at=row["canceled_at"],
        counts=JobCounts(
            total=row["total_jobs"],
            succeeded=row["succeeded_jobs"],
            failed=row["failed_jobs"],
            canceled=row["canceled_jobs"],
            running=row["running_jobs"],
            begun=row["begun"],
        ),
    )


def worker(row: Row) -> Worker:
    return Worker(
        identity=WorkerIdentity(
            worker_id=WorkerId(row["worker_id"]),
            hostname=row["hostname"],
            pid=row["pid"],
            version=row["version"],
            max_concurrent_jobs=row["max_concurrent_jobs"],
            queues=tuple(row["queues"]),
            types=tuple(row["types"]),
        ),
        incarnation=IncarnationId(row["incarnation"]),
        status=WorkerState(row["status"]),
        registered_at=row["registered_at"],
        last_heartbeat=row["last_heartbeat"],
        cpu_percent=row["cpu_percent"],
        memory_percent=row["memory_percent"],
        running_jobs=row["running_jobs"],
        stuck_threads=row["stuck_threads"],
        death=row["death"],
    )


def _job_ids(array: str) -> tuple[JobId, ...]:
    """Those of an array as PostgreSQL writes it."""
    return tuple(JobId(UUID(job_id)) for job_id in array.strip("{}").split(",") if job_id)


def _lease(row: Row) -> Lease | None:
    if row["held_lease_id"] is None:
        return None
    return Lease(
        lease_id=LeaseId(row["held_lease_id"]),
        token=LeaseToken(row["held_token"]),
        owner=IncarnationId(row["held_owner"]),
        worker_id=WorkerId(row["held_worker_id"]),
        claimed_at=row["held_claimed_at"],
        started_at=row["held_started_at"],
        progress=row["held_progress"],
    )


def _request(row: Row) -> JobRequest:
    return JobRequest(
        type=row["type"],
        payload=JsonText(row["payload"]),
        idempotency_key=row["idempotency_key"],
        priority=row["priority"],
        queue=row["queue"],
        scheduled_at=row["requested_at"],
        retry=_policy(row["retry_kind"], row["max_retries"], row["retry_base_us"], row["retry_max_us"]),
        timeout=_span(row["timeout_us"]),
        workflow_id=row["workflow_id"],
        key=row["key"],
        depends_on=tuple(JobId(job_id) for job_id in row["depends_on"] or ()),
    )


@lru_cache(maxsize=1024)
def _policy(kind: str, max_retries: int, base_us: int, max_us: int) -> RetryPolicy:
    return RetryPolicy(
        kind=RetryKind(kind), max_retries=max_retries, base=_span(base_us), max_delay=_span(max_us)
    )


@lru_cache(maxsize=1024)
def _span(microseconds: int) -> timedelta:
    return timedelta(microseconds=microseconds)


def event(stored: dict[str, Any]) -> JobEvent:
    return JobEvent(
        at=datetime.fromisoformat(stored["at"]),
        from_state=JobState(stored["from"]) if stored["from"] else None,
        to_state=JobState(stored["to"]),
        attempt=stored["attempt"],
        worker_id=stored["worker_id"],
        reason=stored["reason"],
        due=datetime.fromisoformat(due) if (due := stored.get("due")) else None,
    )


def attempt_error(stored: dict[str, Any]) -> AttemptError:
    return AttemptError(**{**stored, "at": datetime.fromisoformat(stored["at"])})


def _decoded(document: str | None) -> list[dict[str, Any]]:
    return list(orjson.loads(document)) if document else []
