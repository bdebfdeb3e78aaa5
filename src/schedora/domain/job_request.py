"""What a submitter asks for: a job before it exists."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import blake2b
from typing import Self

from attrs import field, frozen

from schedora.domain.errors import InvalidField
from schedora.domain.ids import JobId, JsonText, WorkflowId
from schedora.domain.retry import RetryPolicy
from schedora.domain.text import check_text
from schedora.domain.trace import TraceContext

PRIORITY_MIN, PRIORITY_MAX, PRIORITY_DEFAULT = 0, 10, 5
TYPE_LENGTH_MAX = 200
QUEUE_LENGTH_MAX = 200
KEY_LENGTH_MAX = 255
DEPENDENCIES_MAX = 10_000
TIMEOUT_LIMIT = timedelta(days=366)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(3000, 1, 1, tzinfo=UTC)
DEFAULT_QUEUE = "default"
EMPTY_PAYLOAD = JsonText("{}")


@frozen(kw_only=True, slots=False)  # copied faster than one with slots
class JobRequest:
    """One job to be made. Checks every field by itself; raises ``InvalidField``.

    ``payload`` is an encoded JSON object with sorted keys, so that equal payloads are equal texts.
    ``scheduled_at`` is None for now. ``key`` names the job within its workflow.
    """

    type: str
    payload: JsonText = EMPTY_PAYLOAD
    idempotency_key: str | None = None
    priority: int = PRIORITY_DEFAULT
    queue: str = DEFAULT_QUEUE
    scheduled_at: datetime | None = None
    retry: RetryPolicy = field(factory=RetryPolicy)
    timeout: timedelta = timedelta(seconds=300)
    workflow_id: WorkflowId | None = None
    key: str | None = None
    depends_on: tuple[JobId, ...] = ()
    trace: TraceContext | None = None

    def __attrs_post_init__(self) -> None:
        check_text("type", self.type, length_max=TYPE_LENGTH_MAX)
        check_text("queue", self.queue, length_max=QUEUE_LENGTH_MAX)
        if self.idempotency_key is not None:
            check_text("idempotency_key", self.idempotency_key, length_max=KEY_LENGTH_MAX)
        if self.key is not None:
            check_text("key", self.key, length_max=KEY_LENGTH_MAX)
        if not PRIORITY_MIN <= self.priority <= PRIORITY_MAX:
            raise InvalidField("priority", self.priority, f"between {PRIORITY_MIN} and {PRIORITY_MAX}")
        if not timedelta(0) < self.timeout <= TIMEOUT_LIMIT:
            limit = int(TIMEOUT_LIMIT.total_seconds())
            raise InvalidField(
                "timeout_seconds", self.timeout.total_seconds(), f"greater than 0 and at most {limit} seconds"
            )
        if self.scheduled_at is not None:
            check_instant("scheduled_at", self.scheduled_at)
        if len(self.depends_on) > DEPENDENCIES_MAX:
            raise InvalidField("depends_on", len(self.depends_on), f"at most {DEPENDENCIES_MAX} jobs")
        if len(set(self.depends_on)) != len(self.depends_on):
            raise InvalidField("depends_on", [str(i) for i in self.depends_on], "without repetition")
        if self.depends_on and self.workflow_id is None:
            raise InvalidField(
                "depends_on",
                [str(i) for i in self.depends_on],
                "empty for a job outside of a workflow: dependencies need a workflow_id",
            )

    def with_payload(self, payload: JsonText) -> Self:
        """The same with another payload."""
        self.terms  # noqa: B018 - made once for all that are made from this one
        made = self._copied()
        made.__dict__["payload"] = payload
        return made

    def within(self, trace: TraceContext) -> Self:
        """The same as a part of this trace."""
        made = self._copied()
        made.__dict__["trace"] = trace
        return made

    def again(self, *, payload: JsonText, idempotency_key: str, trace: TraceContext) -> Self:
        """The same asked for under another key. Checks nothing but the key; raises ``InvalidField``."""
        check_text("idempotency_key", idempotency_key, length_max=KEY_LENGTH_MAX)
        made = self.with_payload(payload)
        made.__dict__.update(idempotency_key=idempotency_key, trace=trace)
        return made

    def as_stored(self, idempotency_key: str | None) -> Self:
        """As it is read from a store that has it under this key: the trace is the job's."""
        if self.trace is None and self.idempotency_key == idempotency_key:
            return self
        made = self._copied()
        made.__dict__.update(idempotency_key=idempotency_key, trace=None)
        return made

    def _copied(self) -> Self:
        # Not by evolve, which checks every field again.
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def fingerprint(self) -> bytes:
        """16 bytes, equal for equal requests: tells whether a taken key was taken by the same request.

        The trace is left out: two tries of one submission rarely share it.
        """
        head, tail = self.terms
        payload = self.payload.encode()
        return blake2b(head + len(payload).to_bytes(8) + payload + tail, digest_size=16).digest()

    @cached_property
    def terms(self) -> tuple[bytes, bytes]:
        """What stands in the fingerprint before and behind the payload: equal in all requests that differ in nothing
        but payload, idempotency key and trace.
        """
        return _measured((self.type,)), _measured(
            (
                str(self.priority),
                self.queue,
                self.scheduled_at.astimezone(UTC).isoformat() if self.scheduled_at else "",
                self.retry.kind,
                str(self.retry.max_retries),
                str(self.retry.base.total_seconds()),
                str(self.retry.max_delay.total_seconds()),
                str(self.timeout.total_seconds()),
                str(self.workflow_id or ""),
                self.key or "",
                *sorted(str(job_id) for job_id in self.depends_on),
            )
        )


def _measured(parts: Iterable[str]) -> bytes:
    """Each part behind its length, which keeps ("ab", "c") apart from ("a", "bc")."""
    encoded = [part.encode() for part in parts]
    return b"".join([piece for part in encoded for piece in (len(part).to_bytes(8), part)])


def check_instant(field_name: str, value: datetime) -> None:
    """Raises ``InvalidField`` for an instant without offset or outside of what every store can keep."""
    if value.utcoffset() is None:
        raise InvalidField(
            field_name, value.isoformat(), "an instant with an offset, like 2030-01-31T08:00:00Z"
        )
    if not EARLIEST <= value < LATEST:
        raise InvalidField(
            field_name, value.isoformat(), f"between {EARLIEST.isoformat()} and {LATEST.isoformat()}"
        )
