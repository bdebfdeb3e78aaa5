"""Values of the domain as the arrays that statements take: one array a column, one element a row."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import attrs
import orjson

from schedora.application.ports.job_queue import Start
from schedora.application.ports.jobs import NewJob
from schedora.domain.completion import Completion
from schedora.domain.events import ERRORS_LIMIT, HISTORY_LIMIT, AttemptError, JobEvent
from schedora.domain.ids import JobId, LeaseId
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora.domain.retry import MICROSECOND

V = TypeVar("V")


def of_new_jobs(new: Sequence[NewJob], lock_timeout: timedelta | None = None) -> dict[str, Any]:
    """The parameters of ``submit.sql``."""
    requests = [one.request for one in new]
    policies = [request.retry for request in requests]
    queues = sorted({(one.tenant_id, one.request.queue) for one in new})
    return {
        "job_id": [one.job_id for one in new],
        "payload": [request.payload for request in requests],
        "idempotency_key": [one.idempotency_key for one in new],
        "fingerprint": [one.fingerprint for one in new],
        **_column("tenant_id", [one.tenant_id for one in new]),
        **_column("type", [request.type for request in requests]),
        **_column("queue", [request.queue for request in requests]),
        **_column("priority", [request.priority for request in requests]),
        **_column("requested_at", [request.scheduled_at for request in requests]),
        **_column("retry_kind", [policy.kind for policy in policies], str),
        **_column("max_retries", [policy.max_retries for policy in policies]),
        **_column("retry_base_us", [policy.base for policy in policies], microseconds),
        **_column("retry_max_us", [policy.max_delay for policy in policies], microseconds),
        **_column("timeout_us", [request.timeout for request in requests], microseconds),
        **_column("workflow_id", [request.workflow_id for request in requests]),
        **_column("key", [request.key for request in requests]),
        **_column("depends_on", [request.depends_on for request in requests], _array_literal),
        **_column("waits_for", [one.waits_for for one in new]),
        **_column("traceparent", [one.traceparent for one in new]),
        "queue_tenant_id": [tenant_id for tenant_id, _ in queues],
        "queue_name": [queue for _, queue in queues],
        "lock_timeout": _milliseconds(lock_timeout),
    }


def alike(new: Sequence[NewJob]) -> bool:
    """Whether ``submit_alike.sql`` can store them."""
    first = new[0]
    request, tenant_id = first.request, first.tenant_id
    if request.workflow_id is not None:  # as all must be that depend on others
        return False
    terms = request.terms
    return all(one.request.terms == terms and one.tenant_id == tenant_id for one in new)


def of_alike_jobs(new: Sequence[NewJob], lock_timeout: timedelta | None = None) -> dict[str, Any]:
    """The parameters of ``submit_alike.sql``."""
    return {
        "job_id": [one.job_id for one in new],
        "payload": [one.request.payload for one in new],
        "idempotency_key": [one.idempotency_key for one in new],
        "fingerprint": [one.fingerprint for one in new],
        "traceparent": [one.traceparent for one in new],
        "lock_timeout": _milliseconds(lock_timeout),
        **_in_common(new[0]),
    }


def of_one_job(new: NewJob) -> dict[str, Any]:
    """The parameters of ``submit_one.sql``."""
    return {
        "job_id": new.job_id,
        "payload": new.request.payload,
        "idempotency_key": new.idempotency_key,
        "fingerprint": new.fingerprint,
        "traceparent": new.traceparent,
        **_in_common(new),
    }


def _in_common(new: NewJob) -> dict[str, Any]:
    """What jobs that are alike have in common."""
    request = new.request
    policy = request.retry
    return {
        "tenant_id": new.tenant_id,
        "type": request.type,
        "queue": request.queue,
        "priority": request.priority,
        "requested_at": request.scheduled_at,
        "retry_kind": str(policy.kind),
        "max_retries": policy.max_retries,
        "retry_base_us": microseconds(policy.base),
        "retry_max_us": microseconds(policy.max_delay),
        "timeout_us": microseconds(request.timeout),
        "key": request.key,
    }


def of_completions(completions: Sequence[Completion]) -> dict[str, Any]:
    """The parameters of ``complete.sql``: in the order of locking, and of those for one lease the first."""
    completions = sorted({one.lease_id: one for one in reversed(completions)}.values(), key=_job_id)
    errors = [one.error for one in completions]
    return {
        "job_id": [one.job_id for one in completions],
        "lease_id": [one.lease_id for one in completions],
        **_column("status", [one.status for one in completions], _value),
        **_column("attempt", [one.attempt for one in completions]),
        **_column("retry_count", [one.retry_count for one in completions]),
        **_column("worker_deaths", [one.worker_deaths for one in completions]),
        "suspect": _sparse([one.suspect or None for one in completions]),
        "scheduled_at": _sparse([one.scheduled_at for one in completions]),
        "run_started_at": [one.started_at and one.started_at.timestamp() for one in completions],
        "ended_at": [one.ended_at.timestamp() for one in completions],
        **_column("result", [one.result for one in completions]),
        "error_message": _sparse([error and storable(error.message) for error in errors]),
        "error": _sparse([error and encoded_error(error) for error in errors]),
        "moves": _sparse([encoded_moves(one.moves) for one in completions]),
        "errors_limit": ERRORS_LIMIT,
        "history_limit": HISTORY_LIMIT,
    }


def of_starts(starts: Sequence[Start]) -> dict[str, Any]:
    """The parameters of ``start.sql``: in the order of locking, what is told of one lease told at once."""
    by_lease: dict[LeaseId, Start] = {}
    for one in starts:
        known = by_lease.get(one.lease_id)
        if known is None:
            by_lease[one.lease_id] = one
        elif one.progress is not None:
            by_lease[one.lease_id] = attrs.evolve(known, progress=one.progress)
    told = sorted(by_lease.values(), key=_job_id)
    return {
        "start_job_id": [one.job_id for one in told],
        "start_lease_id": [one.lease_id for one in told],
        "started_at": [one.started_at for one in told],
        "progress": [one.progress for one in told],
    }


def of_jobs(saved: Sequence[Job]) -> dict[str, list[Any]]:
    """The parameters of ``save.sql``. What a lease tells is kept there, and not in the record as well."""
    held = [(one.job_id, one.lease) for one in saved if one.lease is not None]
    running = [one.status is JobState.RUNNING for one in saved]
    return {
        "job_id": [one.job_id for one in saved],
        "status": [_resting(one).value for one in saved],
        "claimable": [one.claimable for one in saved],
        "scheduled_at": [one.scheduled_at for one in saved],
        "waits_for": [one.waits_for for one in saved],
        "suspect": [one.suspect for one in saved],
        "worker_id": [None if one.lease else one.worker_id for one in saved],
        "attempt": [one.attempt - counted for one, counted in zip(saved, running, strict=True)],
        "retry_count": [one.retry_count for one in saved],
        "lease_token": [one.lease_token - 1 if one.lease else one.lease_token for one in saved],
        "worker_deaths": [one.worker_deaths for one in saved],
        "claimed_at": [None if one.lease else one.claimed_at for one in saved],
        "started_at": [None if one.lease else one.started_at for one in saved],
        "completed_at": [one.completed_at for one in saved],
        "error_message": [one.error_message and storable(one.error_message) for one in saved],
        "errors": [encoded_errors(one.errors) for one in saved],
        "history": [encoded_moves(one.history) for one in saved],
        "result": [one.result for one in saved],
        "held_job_id": [job_id for job_id, _ in held],
        "lease_id": [lease.lease_id for _, lease in held],
        "token": [lease.token for _, lease in held],
        "owner": [lease.owner for _, lease in held],
        "holder": [lease.worker_id for _, lease in held],
        "lease_claimed_at": [lease.claimed_at for _, lease in held],
        "lease_started_at": [lease.started_at for _, lease in held],
        "progress": [lease.progress for _, lease in held],
    }


def encoded_moves(moves: Sequence[JobEvent]) -> str | None:
    return orjson.dumps([_move(move) for move in moves]).decode() if moves else None


def encoded_errors(errors: Sequence[AttemptError]) -> str | None:
    return orjson.dumps([_error(error) for error in errors]).decode() if errors else None


def encoded_error(error: AttemptError) -> str:
    return orjson.dumps(_error(error)).decode()


def storable(text: str) -> str:
    """``text`` with U+FFFD for what PostgreSQL has no place for. What an exception says may be anything, and
    must not keep its job, and those that are completed along with it, from being written.
    """
    return (
        text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode() if not text.isprintable() else text
    )


def _resting(saved: Job) -> JobState:
    """What the record says while a lease says the rest: the state in which the job waited for its claim."""
    if saved.lease is None:
        return saved.status
    return saved.history[-1].to_state if saved.history else JobState.PENDING


def microseconds(span: timedelta) -> int:
    return span // MICROSECOND


def _milliseconds(span: timedelta | None) -> str | None:
    """As a setting of the server takes it."""
    return None if span is None else f"{microseconds(span) // 1_000}ms"


def _move(move: JobEvent) -> dict[str, Any]:
    due = {} if move.due is None else {"due": move.due.isoformat()}  # most have none
    return {
        "at": move.at.isoformat(),
        "from": move.from_state,
        "to": move.to_state,
        "attempt": move.attempt,
        "worker_id": move.worker_id,
        "reason": move.reason and storable(move.reason),
        **due,
    }


def _error(error: AttemptError) -> dict[str, Any]:
    return {
        "attempt": error.attempt,
        "at": error.at.isoformat(),
        "worker_id": error.worker_id,
        "kind": storable(error.kind),
        "message": storable(error.message),
        "traceback": error.traceback and storable(error.traceback),
    }


def _column(name: str, values: list[V], stored: Callable[[V], Any] | None = None) -> dict[str, Any]:
    """One column: what all rows have in common is sent, and taken apart, once."""
    if not values:
        return {name: [], f"all_{name}": None}
    if values.count(values[0]) == len(values):
        return {name: [], f"all_{name}": values[0] if stored is None else stored(values[0])}
    return {name: values if stored is None else list(map(stored, values)), f"all_{name}": None}


def _value(state: JobState) -> str:
    return state.value


def _array_literal(job_ids: tuple[JobId, ...]) -> str | None:
    """As text: arrays of arrays can't be of different lengths."""
    return f"{{{','.join(map(str, job_ids))}}}" if job_ids else None


def _sparse(column: list[Any]) -> list[Any]:
    """Nothing where there is nothing but nulls: ``unnest`` fills up what is too short, and encoding costs time."""
    return [] if all(value is None for value in column) else column


def _job_id(one: Completion | Start) -> JobId:
    return one.job_id
