"""Jobs as they are asked for over HTTP.

The models check shape and JSON types; the rules are the domain's, and every rule that a job breaks is told.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from schedora.application.encoding import encode_json, size_bytes
from schedora.application.errors import NotJson, TooLarge
from schedora.domain.errors import InvalidField
from schedora.domain.ids import JobId, JsonText, WorkflowId
from schedora.domain.job_request import (
    DEFAULT_QUEUE,
    KEY_LENGTH_MAX,
    PRIORITY_DEFAULT,
    PRIORITY_MAX,
    PRIORITY_MIN,
    QUEUE_LENGTH_MAX,
    TIMEOUT_LIMIT,
    TYPE_LENGTH_MAX,
    JobRequest,
)
from schedora.domain.retry import DELAY_LIMIT, RETRIES_LIMIT, RetryKind, RetryPolicy
from schedora.domain.trace import TraceContext
from schedora.entrypoints.api.problems import FieldProblem, Refused, field_problem, invalid
from schedora.entrypoints.api.schemas.fields import Body, Instant, Uuid, documented, documented_text

_RETRY = RetryPolicy()
_DELAY_MAX_SECONDS = int(DELAY_LIMIT.total_seconds())
_TIMEOUT_MIN_SECONDS = timedelta.resolution.total_seconds()
_TIMEOUT_MAX_SECONDS = int(TIMEOUT_LIMIT.total_seconds())

# Which argument of the domain's own values a field of the request becomes, where the names differ.
_ARGUMENTS = {
    "retry_base_seconds": "base",
    "retry_max_seconds": "max_delay",
    "timeout_seconds": "timeout",
}

LOOKED_AT_MAX = 20_000
"""Rows of a list. More than are allowed, so that it can be said by how many they are too many; not all, for each may be wrong in
many ways.
"""

_KINDS_MAX = 1_000
"""How many kinds of jobs are remembered."""

V = TypeVar("V")


Name = Annotated[str, documented_text(TYPE_LENGTH_MAX)]
QueueName = Annotated[str, documented_text(QUEUE_LENGTH_MAX)]
Key = Annotated[str, documented_text(KEY_LENGTH_MAX)]
Delay = Annotated[float, documented(minimum=0, maximum=_DELAY_MAX_SECONDS)]


class JobFields(Body):
    """What every job can be given."""

    type: Name
    payload: Annotated[dict[str, Any], Field(default_factory=dict)]
    priority: Annotated[int, documented(minimum=PRIORITY_MIN, maximum=PRIORITY_MAX)] = PRIORITY_DEFAULT
    queue: QueueName = DEFAULT_QUEUE
    scheduled_at: Instant | None = None
    max_retries: Annotated[int, documented(minimum=0, maximum=RETRIES_LIMIT)] = _RETRY.max_retries
    retry_policy: Literal["fixed", "exponential", "jitter"] = _RETRY.kind.value
    retry_base_seconds: Delay = _RETRY.base.total_seconds()
    retry_max_seconds: Delay = _RETRY.max_delay.total_seconds()
    timeout_seconds: Annotated[
        float, documented(minimum=_TIMEOUT_MIN_SECONDS, maximum=_TIMEOUT_MAX_SECONDS)
    ] = 300

    def request(self, *, trace: TraceContext, payload_max_bytes: int) -> JobRequest:
        """The request to the application. Raises ``Refused`` with every rule broken, and ``TooLarge``."""
        errors: list[FieldProblem] = []
        payload = encoded_object("payload", self.payload, payload_max_bytes, errors)
        retry = _made(
            RetryPolicy,
            {
                "kind": RetryKind(self.retry_policy),
                "max_retries": self.max_retries,
                "base": span("retry_base_seconds", self.retry_base_seconds, _DELAY_MAX_SECONDS, errors),
                "max_delay": span("retry_max_seconds", self.retry_max_seconds, _DELAY_MAX_SECONDS, errors),
            },
            errors,
        )
        arguments = {
            "type": self.type,
            "payload": payload,
            "priority": self.priority,
            "queue": self.queue,
            "scheduled_at": self.scheduled_at,
            "retry": retry,
            "timeout": span("timeout_seconds", self.timeout_seconds, _TIMEOUT_MAX_SECONDS, errors),
            "trace": trace,
            **self._own_arguments(),
        }
        request = _made(JobRequest, arguments, errors)
        if errors:
            raise Refused(invalid(errors))
        return request

    def _own_arguments(self) -> Mapping[str, object]:
        return {}


_IN_A_WORKFLOW: JsonDict = {
    "if": {"properties": {"depends_on": {"type": "array", "minItems": 1}}, "required": ["depends_on"]},
    "then": {"properties": {"workflow_id": {"type": "string"}}, "required": ["workflow_id"]},
}
"""Who depends on others is in a workflow with them."""


class JobSubmission(JobFields):
    """A job to be made. The same ``idempotency_key`` again finds the job that it made."""

    model_config = ConfigDict(json_schema_extra=_IN_A_WORKFLOW)

    idempotency_key: Key
    workflow_id: Uuid | None = None
    depends_on: Annotated[list[Uuid], Field(max_length=LOOKED_AT_MAX)] | None = None

    def request(self, *, trace: TraceContext, payload_max_bytes: int) -> JobRequest:
        """As of all jobs. Most differ from others in nothing but payload and key: the rest is checked once."""
        if self.scheduled_at is None and self.workflow_id is None and self.depends_on is None:
            try:
                payload = _bounded("payload", encode_json(self.payload), payload_max_bytes)
                kind = _Kind(
                    self.type, self.priority, self.queue, self.retry_policy, self.max_retries,
                    self.retry_base_seconds, self.retry_max_seconds, self.timeout_seconds,
                )  # fmt: skip
                return _of_kind(kind).again(
                    payload=payload, idempotency_key=self.idempotency_key, trace=trace
                )
            except (NotJson, InvalidField, OverflowError):
                pass  # it is told below, with all else that is wrong
        return super().request(trace=trace, payload_max_bytes=payload_max_bytes)

    def _own_arguments(self) -> Mapping[str, object]:
        return {
            "idempotency_key": self.idempotency_key,
            "workflow_id": None if self.workflow_id is None else WorkflowId(self.workflow_id),
            "depends_on": tuple(JobId(job_id) for job_id in self.depends_on or ()),
        }


class StepSubmission(JobFields):
    """A job of a workflow that is described as a whole; ``depends_on`` names other steps by key."""

    key: Key
    idempotency_key: Key | None = None
    depends_on: Annotated[list[str], Field(max_length=LOOKED_AT_MAX)] | None = None

    def _own_arguments(self) -> Mapping[str, object]:
        return {"key": self.key, "idempotency_key": self.idempotency_key}


class JobBatch(Body):
    """Jobs to be made all or none."""

    jobs: Annotated[list[JobSubmission], Field(max_length=LOOKED_AT_MAX)]


class LooseBatch(Body):
    """The same with its rows unchecked: tells which rows of a refused batch are bad."""

    jobs: Annotated[list[Any], Field(max_length=LOOKED_AT_MAX)]


def encoded_object(name: str, value: dict[str, Any], max_bytes: int, errors: list[FieldProblem]) -> JsonText:
    """``value`` encoded, or ``{}`` and a new error. Raises ``TooLarge``."""
    try:
        text = encode_json(value)
    except NotJson as error:
        errors.append(field_problem(name, error.reason))
        return JsonText("{}")
    return _bounded(name, text, max_bytes)


def _bounded(name: str, text: JsonText, max_bytes: int) -> JsonText:
    size = size_bytes(text)
    if size > max_bytes:
        raise TooLarge(name, size, max_bytes)
    return text


class _Kind(NamedTuple):
    """What many jobs have in common."""

    type: str
    priority: int
    queue: str
    retry_policy: str
    max_retries: int
    retry_base_seconds: float
    retry_max_seconds: float
    timeout_seconds: float


@lru_cache(_KINDS_MAX)
def _of_kind(kind: _Kind) -> JobRequest:
    """Raises ``InvalidField`` and ``OverflowError``."""
    retry = RetryPolicy(
        kind=RetryKind(kind.retry_policy),
        max_retries=kind.max_retries,
        base=timedelta(seconds=kind.retry_base_seconds),
        max_delay=timedelta(seconds=kind.retry_max_seconds),
    )
    timeout = timedelta(seconds=kind.timeout_seconds)
    return JobRequest(type=kind.type, priority=kind.priority, queue=kind.queue, retry=retry, timeout=timeout)


def span(name: str, value_seconds: float, max_seconds: int, errors: list[FieldProblem]) -> timedelta:
    """A span of so many seconds, or a lawful one and a new error where no span is that long."""
    try:
        return timedelta(seconds=value_seconds)
    except OverflowError:
        message = str(InvalidField(name, value_seconds, f"at most {max_seconds} seconds"))
        errors.append(field_problem(name, message, value_seconds))
        return timedelta(seconds=1)


def _made(make: Callable[..., V], arguments: Mapping[str, object], errors: list[FieldProblem]) -> V:
    """``make`` with ``arguments``; each that it refuses is told in ``errors`` and left to its default."""
    try:
        return make(**arguments)
    except InvalidField as error:
        errors.append(field_problem(error.field, str(error), error.value))
        refused = _ARGUMENTS.get(error.field, error.field)
        sound = {name: value for name, value in arguments.items() if name != refused}
        if refused == "type":
            sound["type"] = "-"
        return _made(make, sound, errors)
