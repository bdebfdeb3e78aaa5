"""The spans of a job, derived from its record: nothing is written for them while it runs.

``submit`` is the root: the span that the job's traceparent names. Its children are what became of each claim: the
waits before it, ``claim``, ``process`` (the parent of what the handler traces) and ``settle``.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import attrs
from attrs import frozen

from schedora.application.telemetry.lineage import Dependants, Lineage, Relative
from schedora.application.telemetry.span import (
    Attributes,
    AttributeValue,
    Part,
    Span,
    SpanEvent,
    SpanKind,
    SpanLink,
    SpanStatus,
    linked,
    nanoseconds,
    process_span_id,
    span_id_of,
)
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.events import HISTORY_LIMIT, AttemptError, JobEvent
from schedora.domain.ids import JobId, LeaseToken, WorkerId, WorkflowId
from schedora.domain.job import UPSTREAM_FAILED, Job, current_moves
from schedora.domain.job_state import HELD, WAITING, JobState
from schedora.domain.trace import TraceContext

SYSTEM: Final = "schedora"
Attempted = tuple[Relative, datetime]
"""What a job depends on, and when that was claimed last."""
_NONE_DROPPED: Final[Mapping[LeaseToken, int]] = MappingProxyType({})


class WaitReason(StrEnum):
    """What a job waits for."""

    DEPENDENCY = "dependency"
    DELAY = "delay"
    RETRY = "retry"
    SNOOZE = "snooze"
    QUEUE = "queue"


@frozen(kw_only=True)
class Subject:
    """What all spans of a job say of it."""

    job_id: JobId
    type: str
    queue: str
    priority: int
    workflow_id: WorkflowId | None
    key: str | None
    trace: TraceContext

    @classmethod
    def of(cls, job: Job) -> "Subject":
        request = job.request
        return cls(
            job_id=job.job_id,
            type=request.type,
            queue=request.queue,
            priority=request.priority,
            workflow_id=request.workflow_id,
            key=request.key,
            trace=job.trace,
        )

    @classmethod
    def claimed(cls, job: ClaimedJob) -> "Subject":
        return cls(
            job_id=job.job_id,
            type=job.type,
            queue=job.queue,
            priority=job.priority,
            workflow_id=job.workflow_id,
            key=job.key,
            trace=TraceContext.stored(job.traceparent),
        )

    def span(
        self,
        name: str,
        kind: SpanKind,
        start: datetime,
        end: datetime | None,
        *,
        span_id: str,
        parent_span_id: str | None = None,
        operation: str | None = None,
        attributes: Attributes,
    ) -> Span:
        """A child of the submission, unless it has another parent. ``operation`` is one of OpenTelemetry's."""
        told: dict[str, AttributeValue] = {
            "messaging.system": SYSTEM,
            "messaging.destination.name": self.queue,
            "messaging.operation.name": name,
            "messaging.message.id": str(self.job_id),
            "schedora.job.type": self.type,
            "schedora.priority": self.priority,
        }
        if operation is not None:
            told["messaging.operation.type"] = operation
        if self.workflow_id is not None:
            told["schedora.workflow_id"] = str(self.workflow_id)
        if self.key is not None:
            told["schedora.key"] = self.key
        return Span(
            trace_id=self.trace.trace_id,
            span_id=span_id,
            parent_span_id=parent_span_id or self.trace.span_id,
            name=f"{name} {self.queue}",
            kind=kind,
            start_ns=nanoseconds(start),
            end_ns=None if end is None else nanoseconds(max(start, end)),  # a clock may be set back
            attributes={**told, **attributes},
            sampled=self.trace.sampled,
        )


@frozen(kw_only=True)
class Claim:
    """One claim of a job and what became of it. ``outcome`` is the state that it left the job in."""

    attempt: int
    worker_id: WorkerId | None
    claimed_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: JobState | None = None
    reason: str | None = None
    retry_at: datetime | None = None


@frozen(kw_only=True)
class Wait:
    """From when it could not run to when it was claimed, or ended without; ``end`` is None while it goes on."""

    after: JobEvent
    """The move that made it wait."""
    end: datetime | None = None
    claim: Claim | None = None
    """As it began."""
    ended_by: JobEvent | None = None
    """The move that ended it without a claim."""

    @property
    def in_vain(self) -> bool:
        """What it depends on can't succeed."""
        return self.ended_by is not None and self.ended_by.reason == UPSTREAM_FAILED


@frozen(kw_only=True)
class Course:
    """A job's history in the order of time, as waits and claims."""

    waits: tuple[Wait, ...]
    claims: tuple[Claim, ...]


def course(moves: Iterable[JobEvent]) -> Course:
    """What ``moves`` tell, oldest first."""
    waits: list[Wait] = []
    claims: list[Claim] = []
    waiting: JobEvent | None = None
    held = False
    for move in moves:
        if move.to_state is JobState.SCHEDULED:
            claim = Claim(attempt=move.attempt, worker_id=move.worker_id, claimed_at=move.at)
            if waiting is not None:
                waits.append(Wait(after=waiting, end=move.at, claim=claim))
            claims.append(claim)
            waiting, held = None, True
            continue
        if held and move.to_state is JobState.RUNNING:
            claims[-1] = attrs.evolve(claims[-1], started_at=move.at)
        elif held:
            claims[-1] = attrs.evolve(
                claims[-1],
                ended_at=move.at,
                outcome=move.to_state,
                reason=move.reason,
                retry_at=move.due if move.to_state is JobState.RETRYING else None,
            )
            held = move.to_state is JobState.FAILED  # what follows tells how it went on
        elif waiting is not None:
            waits.append(Wait(after=waiting, end=move.at, ended_by=move))
        waiting = move if move.to_state in WAITING else None
    if waiting is not None:
        waits.append(Wait(after=waiting))
    return Course(waits=tuple(waits), claims=tuple(claims))


def job_spans(job: Job, lineage: Lineage, *, dropped: Mapping[LeaseToken, int] = _NONE_DROPPED) -> list[Span]:
    """All spans of a job as far as its record tells, the submission first. ``dropped`` tells how many spans of its
    handler's were not kept, by the claim.
    """
    subject = Subject.of(job)
    whole = len(job.history) < HISTORY_LIMIT
    told = course(job.events() if whole else job.events()[1:])
    upstream = lineage.relatives(job.request.depends_on)
    attempted = _attempted(upstream)
    waits = [
        made
        for wait in told.waits
        for made in _wait_spans(
            subject,
            wait,
            due=_due(job, wait),
            released=_released(job, upstream),
            blocked=wait.in_vain or (wait.end is None and job.waits_for > 0),
            now=lineage.at,
        )
    ]
    errors: dict[tuple[int, datetime | None], AttemptError] = {
        (error.attempt, error.at): error for error in job.errors
    }
    claims: list[Span] = []
    for place, claim in enumerate(told.claims):
        token = LeaseToken(job.lease_token - (len(told.claims) - 1 - place))
        claims += _claim_spans(
            subject,
            claim,
            token=token,
            dropped=dropped.get(token, 0),
            error=errors.get((claim.attempt, claim.ended_at)),
            follows=attempted if place == 0 and whole else (),
        )
    if waits and whole:
        waits[0] = linked(waits[0], attempted, _link)
    if job.ended and (dependants := lineage.dependants.get(job.job_id)):
        ended_waiting = bool(told.waits) and told.waits[-1].ended_by is not None
        spans = waits if ended_waiting else claims
        spans[-1] = attrs.evolve(spans[-1], events=(*spans[-1].events, _propagation(job, dependants)))
    return [_submission(subject, job.created_at, whole=whole), *waits, *claims]


def follows_others(job: ClaimedJob) -> bool:
    """Whether this attempt links to those of what the job depends on, as its first one does."""
    return bool(job.depends_on) and job.lease_token == 1


def run_spans(job: ClaimedJob, completion: Completion, upstream: Sequence[Relative] = ()) -> list[Span]:
    """Those of one claim that has ended, as whoever held it knows them: the same that are derived from the record.
    ``upstream`` is what the job depends on, as far as that is known.

    A wait is left out whose beginning only the record tells.
    """
    subject = Subject.claimed(job)
    moves = completion.moves or current_moves(
        waited_as=job.waited_as,
        attempt=job.current_attempt,
        worker_id=job.worker_id,
        claimed_at=job.claimed_at,
        started_at=completion.started_at,
        succeeded_at=completion.ended_at,
    )
    (claim,) = course(moves).claims
    after: JobEvent | None = None
    if job.lease_token == 1 and not job.depends_on:
        after = JobEvent(at=job.created_at, from_state=None, to_state=JobState.PENDING, attempt=0)
    elif job.waited_as is JobState.RETRYING and job.scheduled_at <= job.claimed_at:
        after = JobEvent(
            at=job.scheduled_at, from_state=JobState.FAILED, to_state=JobState.RETRYING, attempt=job.attempt
        )
    waits = []
    if after is not None:
        wait = Wait(after=after, end=job.claimed_at, claim=claim)
        waits = _wait_spans(subject, wait, due=job.scheduled_at, now=job.claimed_at)
    return waits + _claim_spans(
        subject,
        claim,
        token=job.lease_token,
        error=completion.error,
        follows=_attempted(upstream) if follows_others(job) else (),
    )


def _attempted(upstream: Iterable[Relative]) -> list[Attempted]:
    return [(one, one.claimed_at) for one in upstream if one.claimed_at is not None]


def _submission(subject: Subject, at: datetime, *, whole: bool) -> Span:
    """Whose child it is, is known to nobody but whoever traced it."""
    span = subject.span(
        "submit",
        SpanKind.PRODUCER,
        at,
        at,
        span_id=subject.trace.span_id,
        operation="send",
        attributes={} if whole else {"schedora.history_cut": True},
    )
    return attrs.evolve(span, parent_span_id=None)


def _due(job: Job, wait: Wait) -> datetime | None:
    """When its time came; None where nothing tells."""
    if wait.after.from_state is None:
        return job.request.scheduled_at or job.created_at
    return wait.after.due


def _released(job: Job, upstream: Sequence[Relative]) -> datetime | None:
    """When the last of what it depends on succeeded; None where that is not known, or has not happened."""
    ends = [one.completed_at for one in upstream if one.status is JobState.SUCCESS and one.completed_at]
    return max(ends) if ends and len(ends) == len(job.request.depends_on) else None


def _wait_spans(
    subject: Subject,
    wait: Wait,
    *,
    due: datetime | None,
    now: datetime,
    released: datetime | None = None,
    blocked: bool = False,
) -> list[Span]:
    """One for each thing that it waited for, one after the other, as far as it is known when each came."""
    parts = list(_parts(wait, due=due, now=now, released=released, blocked=blocked))
    return [
        _wait_span(subject, part, reason, start, end, wait=wait, last=place == len(parts) - 1)
        for place, (part, reason, start, end) in enumerate(parts)
    ]


def _parts(
    wait: Wait, *, due: datetime | None, now: datetime, released: datetime | None, blocked: bool
) -> Iterator[tuple[Part, WaitReason, datetime, datetime | None]]:
    at, end = wait.after.at, wait.end
    if blocked:
        yield Part.DEPENDENCY, WaitReason.DEPENDENCY, at, end
        return
    if released is not None and at < released <= (end or now):
        yield Part.DEPENDENCY, WaitReason.DEPENDENCY, at, released
        at = released
    if due is None and wait.after.to_state is JobState.RETRYING:
        yield Part.WAIT, WaitReason.RETRY, at, end
        return
    if due is not None and due > at:
        reason = _delay_reason(wait)
        if due > (end or now):
            yield Part.DELAY, reason, at, end
            return
        yield Part.DELAY, reason, at, due
        at = due
    yield Part.WAIT, WaitReason.QUEUE, at, end


def _delay_reason(wait: Wait) -> WaitReason:
    if wait.after.to_state is JobState.RETRYING:
        return WaitReason.RETRY
    return WaitReason.SNOOZE if wait.after.from_state in HELD else WaitReason.DELAY


def _wait_span(
    subject: Subject,
    part: Part,
    reason: WaitReason,
    start: datetime,
    end: datetime | None,
    *,
    wait: Wait,
    last: bool,
) -> Span:
    attributes: dict[str, AttributeValue] = {"schedora.wait.reason": reason}
    if wait.claim is None:  # it may begin in the very moment of the claim before it
        span_id = span_id_of(subject.job_id, wait.after.at, f"{part} unclaimed")
    else:
        span_id = span_id_of(subject.job_id, wait.claim.claimed_at, part)
        attributes["schedora.attempt"] = wait.claim.attempt
    if wait.ended_by is not None and last:
        attributes["schedora.outcome"] = wait.ended_by.to_state
        attributes["schedora.reason"] = wait.ended_by.reason or ""
    return subject.span(
        "wait",
        SpanKind.INTERNAL,
        start,
        end,
        span_id=span_id,
        attributes=attributes,
    )


def _claim_spans(
    subject: Subject,
    claim: Claim,
    *,
    token: LeaseToken,
    error: AttemptError | None,
    follows: Sequence[Attempted] = (),
    dropped: int = 0,
) -> list[Span]:
    """Claim, attempt and end, as far as it has come."""

    def named(part: Part) -> str:
        return span_id_of(subject.job_id, claim.claimed_at, part)

    about: dict[str, AttributeValue] = {"schedora.attempt": claim.attempt, "schedora.lease_token": token}
    if claim.worker_id is not None:
        about["schedora.worker_id"] = claim.worker_id
    spans = [
        subject.span(
            "claim",
            SpanKind.CLIENT,
            claim.claimed_at,
            claim.started_at or claim.ended_at,
            span_id=named(Part.CLAIM),
            operation="receive",
            attributes=about,
        )
    ]
    if claim.started_at is not None:
        more = {"schedora.spans_dropped": dropped} if dropped else {}
        spans.append(
            _attempt(subject, claim, about | more, error, span_id=named(Part.PROCESS), follows=follows)
        )
    if claim.ended_at is not None and claim.outcome is not None:
        end = dict(about)
        end["schedora.outcome"] = claim.outcome
        if claim.reason is not None:
            end["schedora.reason"] = claim.reason
        if claim.retry_at is not None:
            end["schedora.retry_at"] = claim.retry_at.isoformat()
        spans.append(
            subject.span(
                "settle",
                SpanKind.CLIENT,
                claim.ended_at,
                claim.ended_at,
                span_id=named(Part.SETTLE),
                parent_span_id=spans[-1].span_id,
                operation="settle",
                attributes=end,
            )
        )
    return spans


def _attempt(
    subject: Subject,
    claim: Claim,
    about: Attributes,
    error: AttemptError | None,
    *,
    span_id: str,
    follows: Sequence[Attempted],
) -> Span:
    span = subject.span(
        "process",
        SpanKind.CONSUMER,
        claim.started_at or claim.claimed_at,
        claim.ended_at,
        span_id=span_id,
        operation="process",
        attributes=about if claim.outcome is None else {**about, "schedora.outcome": claim.outcome},
    )
    span = linked(span, follows, _link)
    if error is None:
        return span
    exception: dict[str, AttributeValue] = {
        "exception.type": error.kind,
        "exception.message": error.message,
    }
    if error.traceback is not None:
        exception["exception.stacktrace"] = error.traceback
    return attrs.evolve(
        span,
        attributes={**span.attributes, "error.type": error.kind},
        events=(SpanEvent(at_ns=nanoseconds(error.at), name="exception", attributes=exception),),
        status=SpanStatus.ERROR,
        status_message=error.message,
    )


def _link(to: Attempted) -> SpanLink:
    """In whatever trace."""
    upstream, claimed_at = to
    about: dict[str, AttributeValue] = {"schedora.job_id": str(upstream.job_id)}
    if upstream.key is not None:
        about["schedora.key"] = upstream.key
    return SpanLink(
        trace_id=upstream.trace.trace_id,
        span_id=process_span_id(upstream.job_id, claimed_at),
        attributes=about,
    )


def _propagation(job: Job, dependants: Dependants) -> SpanEvent:
    """What its end meant to those that depend on it."""
    return SpanEvent(
        at_ns=nanoseconds(job.completed_at or job.created_at),
        name="schedora.released" if job.status is JobState.SUCCESS else "schedora.upstream_failed",
        attributes={
            "schedora.dependants": dependants.count,
            "schedora.job_ids": tuple(str(job_id) for job_id in dependants.job_ids),
        },
    )
