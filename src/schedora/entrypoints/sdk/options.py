"""What can be said of a job beside its type and payload."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, TypedDict
from uuid import UUID

from schedora.application.directives import as_delay
from schedora.domain.errors import InvalidField
from schedora.domain.ids import JobId, JsonText, WorkflowId
from schedora.domain.job_request import EMPTY_PAYLOAD, JobRequest
from schedora.domain.retry import RetryKind, RetryPolicy
from schedora.domain.trace import TraceContext
from schedora.entrypoints.sdk.views import JobView

RetryPolicyName = RetryKind | Literal["fixed", "exponential", "jitter"]


class HandlerOptions(TypedDict, total=False):
    """What a job function says for all of its jobs."""

    queue: str
    priority: int
    max_retries: int
    retry_policy: RetryPolicyName
    retry_base_seconds: float | timedelta
    retry_max_seconds: float | timedelta
    timeout_seconds: float | timedelta


class SubmissionOptions(HandlerOptions, total=False):
    """What one submission says. None is the same as saying nothing."""

    idempotency_key: str | None
    scheduled_at: datetime | None
    workflow_id: UUID | str | None
    depends_on: "Iterable[UUID | str | JobView[Any]]"


class TracedOptions(SubmissionOptions, total=False):
    """``traceparent`` is a W3C trace context that the job's trace continues."""

    traceparent: str | None


class JobOptions(TracedOptions, total=False):
    """``connection`` is a connection or session of the caller's, with a transaction open: the job exists if
    and only if that transaction commits.
    """

    connection: object


def request_for(
    job_type: str, options: Mapping[str, Any], *, payload: JsonText = EMPTY_PAYLOAD
) -> JobRequest:
    """Raises ``InvalidField``, and ``TypeError`` for an unknown option."""
    fields: dict[str, Any] = {}
    retry: dict[str, Any] = {}
    for name, value in options.items():
        if name == "connection" or value is None:
            continue
        if name not in _FIELDS:
            raise TypeError(f"{name!r} is no option of a job; there are {', '.join(sorted(_FIELDS))}")
        field, convert = _FIELDS[name]
        (retry if name in _OF_RETRY else fields)[field] = convert(name, value)
    return JobRequest(type=_text("type", job_type), payload=payload, retry=RetryPolicy(**retry), **fields)


def job_id_of(reference: object, field: str = "job_id") -> JobId:
    """The id of a job given by its view, its id, or its id as a string. Raises ``InvalidField``."""
    return JobId(_uuid(field, getattr(reference, "job_id", reference)))


def workflow_id_of(reference: object) -> WorkflowId:
    """The id of a workflow given by its run, its view, its id, or its id as a string. Raises ``InvalidField``."""
    return WorkflowId(_uuid("workflow_id", getattr(reference, "workflow_id", reference)))


def _uuid(field: str, value: object) -> UUID:
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value if isinstance(value, str) else "")
    except ValueError:
        raise InvalidField(field, value, "a UUID") from None


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidField(name, value, "a string")
    return value


def _integer(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidField(name, value, "an integer")
    return value


def _kind(name: str, value: Any) -> RetryKind:
    try:
        return RetryKind(value)
    except ValueError:
        raise InvalidField(name, value, f"one of {', '.join(RetryKind)}") from None


def _instant(name: str, value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise InvalidField(name, value, "a datetime with an offset")
    return value


def _job_ids(name: str, value: Any) -> tuple[JobId, ...]:
    return tuple(job_id_of(reference, f"{name}[{position}]") for position, reference in enumerate(value))


def _workflow_id(_name: str, value: Any) -> WorkflowId:
    return workflow_id_of(value)


def _trace(name: str, value: Any) -> TraceContext | None:
    return TraceContext.parse(_text(name, value))


_FIELDS: Mapping[str, tuple[str, Callable[[str, Any], Any]]] = {
    "queue": ("queue", _text),
    "priority": ("priority", _integer),
    "max_retries": ("max_retries", _integer),
    "retry_policy": ("kind", _kind),
    "retry_base_seconds": ("base", as_delay),
    "retry_max_seconds": ("max_delay", as_delay),
    "timeout_seconds": ("timeout", as_delay),
    "idempotency_key": ("idempotency_key", _text),
    "scheduled_at": ("scheduled_at", _instant),
    "workflow_id": ("workflow_id", _workflow_id),
    "depends_on": ("depends_on", _job_ids),
    "traceparent": ("trace", _trace),
}
_OF_RETRY = frozenset({"max_retries", "retry_policy", "retry_base_seconds", "retry_max_seconds"})
