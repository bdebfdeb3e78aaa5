"""Spans of a trace, as OpenTelemetry has them: what took from when to when, and whose part it is."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from hashlib import blake2b
from typing import Final, TypeVar
from uuid import UUID

from attrs import evolve, field, frozen

from schedora.domain.ids import JobId

T = TypeVar("T")

AttributeValue = str | bool | int | float | tuple[str, ...]
Attributes = Mapping[str, AttributeValue]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_ID_BYTES: Final = 8


class SpanKind(IntEnum):
    """The numbers that OTLP has for them."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class SpanStatus(IntEnum):
    """The numbers that OTLP has for them."""

    UNSET = 0
    OK = 1
    ERROR = 2


class Part(StrEnum):
    """Of one claim of a job: each is one span."""

    DEPENDENCY = "dependency"
    """Waits for what it depends on."""
    DELAY = "delay"
    """Waits for its time."""
    WAIT = "wait"
    """Waits for a worker."""
    CLAIM = "claim"
    """A worker has it and has not started it."""
    PROCESS = "process"
    """The attempt."""
    SETTLE = "settle"
    """The moment in which it ends."""


@frozen(kw_only=True)
class SpanEvent:
    """Something that happened in a moment of a span."""

    at_ns: int
    name: str
    attributes: Attributes = field(factory=dict)


@frozen(kw_only=True)
class SpanLink:
    """Another span that this one follows from, in whatever trace."""

    trace_id: str
    span_id: str
    attributes: Attributes = field(factory=dict)


LINKS_MAX: Final = 32
"""Of one span: a job that depends on many has some of them."""


@frozen(kw_only=True)
class Span:
    """Ids are hex digits; instants are nanoseconds since 1970. ``end_ns`` is None while it goes on."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: SpanKind
    start_ns: int
    end_ns: int | None
    attributes: Attributes = field(factory=dict)
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()
    links_dropped: int = 0
    """How many more there would be."""
    status: SpanStatus = SpanStatus.UNSET
    status_message: str = ""
    sampled: bool = True


def linked(span: Span, to: Sequence[T], link: Callable[[T], SpanLink]) -> Span:
    """The same with a ``link`` to each, as many as a span has: no others are made."""
    kept = tuple(map(link, to[:LINKS_MAX]))
    return evolve(span, links=kept, links_dropped=len(to) - len(kept))


def span_id_of(owner: UUID, at: datetime, part: str) -> str:
    """The same 16 hex digits wherever it is worked out, so that what a worker exports and what is derived from the
    record are the same spans. ``at`` tells one ``part`` of its owner from the next.
    """
    named = b"%b%d %b" % (owner.bytes, (at - _EPOCH) // _MICROSECOND, part.encode())
    digits = blake2b(named, digest_size=_ID_BYTES).hexdigest()
    return digits if digits.strip("0") else f"{1:016x}"


def process_span_id(job_id: JobId, claimed_at: datetime) -> str:
    """Of the attempt that was claimed then: the parent of what its handler traces."""
    return span_id_of(job_id, claimed_at, Part.PROCESS)


def nanoseconds(at: datetime) -> int:
    """Since 1970. Exact: no float comes between."""
    return (at - _EPOCH) // _MICROSECOND * 1_000
