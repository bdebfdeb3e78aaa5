import inspect
import random
import re
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

import attrs
import pytest
from opentelemetry.semconv._incubating.attributes import messaging_attributes
from opentelemetry.semconv.attributes import error_attributes, exception_attributes, http_attributes

from schedora.application.telemetry.job_spans import job_spans, run_spans
from schedora.application.telemetry.lineage import Dependants, Lineage, Relative
from schedora.application.telemetry.span import Span, SpanKind, SpanStatus, nanoseconds, process_span_id
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import completed, settle
from schedora.domain.events import HISTORY_LIMIT
from schedora.domain.ids import LeaseToken, WorkerId
from schedora.domain.job import UPSTREAM_FAILED, Job
from schedora.domain.job_state import JobState
from schedora.domain.lease import Lease
from schedora.domain.outcome import Failed, Outcome, Released, Snoozed, Succeeded, TimedOut, WorkerLost
from tests.builders import (
    NOON,
    SECOND,
    TRACE,
    a_job,
    a_job_id,
    a_lease_id,
    a_request,
    a_workflow_id,
    an_incarnation,
)

OTHER_TRACE = attrs.evolve(TRACE, trace_id="1" * 32)


class Life:
    """A job as it goes through claims; ``exported`` is what those who held it know of it."""

    def __init__(self, **fields: Any) -> None:
        waits_for = fields.pop("waits_for", 0)
        self.now = NOON
        self.exported: list[Span] = []
        self.upstream: list[Relative] = []
        self.job = Job.submitted(
            a_request(**fields), job_id=a_job_id(), trace=TRACE, now=NOON, waits_for=waits_for
        )

    def after(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now

    def claim(self) -> None:
        token = LeaseToken(self.job.lease_token + 1)
        lease = Lease(
            lease_id=a_lease_id(),
            token=token,
            owner=an_incarnation(),
            worker_id=WorkerId("w1"),
            claimed_at=self.now,
        )
        self.waited_as = self.job.status
        self.job = attrs.evolve(
            self.job,
            status=JobState.SCHEDULED,
            lease=lease,
            lease_token=token,
            worker_id=lease.worker_id,
            claimed_at=self.now,
            waits_for=0,
        )

    def start(self) -> None:
        assert self.job.lease is not None
        self.job = attrs.evolve(
            self.job,
            status=JobState.RUNNING,
            lease=attrs.evolve(self.job.lease, started_at=self.now),
            started_at=self.now,
            attempt=self.job.attempt + 1,
        )

    def end(self, outcome: Outcome) -> list[Span]:
        lease = self.job.lease
        assert lease is not None
        request = self.job.request
        claimed = ClaimedJob(
            job_id=self.job.job_id,
            lease_id=lease.lease_id,
            lease_token=lease.token,
            owner=lease.owner,
            worker_id=lease.worker_id,
            type=request.type,
            queue=request.queue,
            priority=request.priority,
            payload=request.payload,
            waited_as=self.waited_as,
            attempt=self.job.attempt - (lease.started_at is not None),
            retry_count=self.job.retry_count,
            worker_deaths=self.job.worker_deaths,
            retry=request.retry,
            timeout=request.timeout,
            workflow_id=request.workflow_id,
            key=request.key,
            depends_on=request.depends_on,
            traceparent=TRACE.traceparent,
            created_at=self.job.created_at,
            scheduled_at=self.job.scheduled_at,
            claimed_at=lease.claimed_at,
            started_at=lease.started_at,
        )
        completion = settle(
            claimed,
            outcome,
            started_at=lease.started_at,
            ended_at=self.now,
            unit_random=0.0,
            worker_deaths_max=3,
        )
        self.job = completed(self.job, completion)
        exported = run_spans(claimed, completion, self.upstream)
        self.exported += exported
        return exported

    def run(self, outcome: Outcome) -> list[Span]:
        """Claimed, started a second later, ended after two."""
        self.claim()
        self.after(1)
        self.start()
        self.after(2)
        return self.end(outcome)

    def spans(self, lineage: Lineage | None = None) -> list[Span]:
        return job_spans(self.job, lineage or Lineage(at=self.now))


def told(spans: list[Span]) -> list[tuple[str, str | None, float, float | None]]:
    """Name, reason of a wait, and from when to when, in seconds after noon."""

    def seconds(at_ns: int) -> float:
        return (at_ns - nanoseconds(NOON)) / 1e9

    return [
        (
            span.name.removesuffix(" default"),
            str(reason) if (reason := span.attributes.get("schedora.wait.reason")) else None,
            seconds(span.start_ns),
            None if span.end_ns is None else seconds(span.end_ns),
        )
        for span in spans
    ]


def test_a_job_that_succeeds() -> None:
    life = Life(key="a", workflow_id=(flow := a_workflow_id()), priority=7)
    life.after(5)
    life.run(Succeeded())
    spans = life.spans()
    assert told(spans) == [
        ("submit", None, 0, 0),
        ("wait", "queue", 0, 5),
        ("claim", None, 5, 6),
        ("process", None, 6, 8),
        ("settle", None, 8, 8),
    ]
    submit, wait, claim, process, settled = spans
    assert submit.span_id == TRACE.span_id
    assert submit.parent_span_id is None
    assert {span.trace_id for span in spans} == {TRACE.trace_id}
    assert [wait.parent_span_id, claim.parent_span_id, process.parent_span_id] == [submit.span_id] * 3
    assert settled.parent_span_id == process.span_id
    assert [span.kind for span in spans] == [
        SpanKind.PRODUCER,
        SpanKind.INTERNAL,
        SpanKind.CLIENT,
        SpanKind.CONSUMER,
        SpanKind.CLIENT,
    ]
    assert process.attributes == {
        "messaging.system": "schedora",
        "messaging.destination.name": "default",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.message.id": str(life.job.job_id),
        "schedora.job.type": "work",
        "schedora.priority": 7,
        "schedora.workflow_id": str(flow),
        "schedora.key": "a",
        "schedora.attempt": 1,
        "schedora.lease_token": 1,
        "schedora.worker_id": "w1",
        "schedora.outcome": "SUCCESS",
    }
    assert process.status is SpanStatus.UNSET
    operations = [span.attributes.get("messaging.operation.type") for span in spans]
    assert operations == ["send", None, "receive", "process", "settle"]
    assert not any("schedora.history_cut" in span.attributes for span in spans)


@pytest.mark.parametrize("sampled", [True, False])
def test_spans_are_sampled_as_the_trace_of_their_job_is(*, sampled: bool) -> None:
    life = Life()
    life.job = attrs.evolve(life.job, trace=attrs.evolve(TRACE, sampled=sampled))
    assert [span.sampled for span in life.spans()] == [sampled] * 2


def test_what_the_handler_traced_and_was_not_kept_is_counted_with_its_attempt() -> None:
    life = Life()
    life.run(Failed(kind="Oops", message="one"))
    life.after(60)
    life.run(Succeeded())
    spans = job_spans(life.job, Lineage(at=life.now), dropped={LeaseToken(2): 3})
    attempts = [span for span in spans if span.name == "process default"]
    assert [span.attributes.get("schedora.spans_dropped") for span in attempts] == [None, 3]
    assert sum("schedora.spans_dropped" in span.attributes for span in spans) == 1


def test_what_goes_on_has_no_end() -> None:
    life = Life()
    assert told(life.spans())[1:] == [("wait", "queue", 0, None)]
    life.after(1)
    life.claim()
    assert told(life.spans())[1:] == [("wait", "queue", 0, 1), ("claim", None, 1, None)]
    life.after(1)
    life.start()
    assert told(life.spans())[2:] == [("claim", None, 1, 2), ("process", None, 2, None)]
    assert "schedora.outcome" not in life.spans()[-1].attributes


def test_a_failed_attempt_has_its_error() -> None:
    life = Life()
    life.run(Failed(kind="Oops", message="it failed", traceback="Traceback …"))
    *_, process, settled = life.spans()
    assert process.status is SpanStatus.ERROR
    assert process.status_message == "it failed"
    assert process.attributes["error.type"] == "Oops"
    (event,) = process.events
    assert (event.name, event.at_ns) == ("exception", process.end_ns)
    assert event.attributes == {
        "exception.type": "Oops",
        "exception.message": "it failed",
        "exception.stacktrace": "Traceback …",
    }
    assert settled.attributes["schedora.outcome"] == "RETRYING"
    assert settled.attributes["schedora.retry_at"] == (life.now + timedelta(seconds=60)).isoformat()


def test_each_attempt_is_told_and_each_wait_before_it() -> None:
    life = Life(queue="mail")
    life.run(Failed(kind="Oops", message="one"))  # at 3: again at 63
    assert told(life.spans())[-4:] != []
    life.after(70)
    life.run(TimedOut(timeout=timedelta(seconds=2)))  # from 73 to 76: again at 196
    life.after(200)
    life.run(Succeeded())
    assert [span.replace(" mail", "") for span, *_ in told(life.spans())] == [
        "submit", "wait", "wait", "wait", "wait", "wait",
        "claim", "process", "settle", "claim", "process", "settle", "claim", "process", "settle",
    ]  # fmt: skip
    waits = [span for span in life.spans() if span.name == "wait mail"]
    assert [span.attributes["schedora.attempt"] for span in waits] == [1, 2, 2, 3, 3]
    assert [row[1:] for row in told(life.spans())[1:6]] == [
        ("queue", 0, 0),
        ("retry", 3, 63),
        ("queue", 63, 73),
        ("retry", 76, 196),
        ("queue", 196, 276),
    ]
    tokens = [
        span.attributes.get("schedora.lease_token") for span in life.spans() if span.name == "claim mail"
    ]
    assert tokens == [1, 2, 3]
    errors = [span.attributes.get("error.type") for span in life.spans() if span.name == "process mail"]
    assert errors == ["Oops", "timeout", None]


def test_a_retry_whose_time_no_record_tells_is_one_wait() -> None:
    life = Life()
    life.run(Failed(kind="Oops", message="one"))
    *before, last = life.job.history
    life.job = attrs.evolve(life.job, history=(*before, attrs.evolve(last, due=None)))
    life.after(70)
    life.claim()
    assert [row[1:] for row in told(life.spans()) if row[0] == "wait"] == [("queue", 0, 0), ("retry", 3, 73)]


def test_a_delay_and_a_snooze_are_told_apart_from_the_queue() -> None:
    life = Life(scheduled_at=NOON + 10 * SECOND)
    life.after(4)
    assert told(life.spans())[1:] == [("wait", "delay", 0, None)]
    life.after(8)
    assert told(life.spans())[1:] == [("wait", "delay", 0, 10), ("wait", "queue", 10, None)]
    life.run(Snoozed(delay=timedelta(seconds=20), reason=None))  # from 12 to 15: again at 35
    life.after(25)
    life.claim()
    waits = [row for row in told(life.spans()) if row[0] == "wait"]
    assert waits == [
        ("wait", "delay", 0, 10),
        ("wait", "queue", 10, 12),
        ("wait", "snooze", 15, 35),
        ("wait", "queue", 35, 40),
    ]
    assert not any("schedora.retry_at" in span.attributes for span in life.spans())


def test_a_delay_that_ends_with_the_claim_is_followed_by_no_time_in_the_queue() -> None:
    life = Life(scheduled_at=NOON + 10 * SECOND)
    life.after(10)
    life.claim()
    assert told(life.spans())[1:3] == [("wait", "delay", 0, 10), ("wait", "queue", 10, 10)]


def test_a_canceled_delay_ends_when_it_is_canceled() -> None:
    life = Life(scheduled_at=NOON + 10 * SECOND)
    life.job = life.job.canceled(now=life.after(4), reason="unwanted")
    (_, wait) = life.spans()
    assert told([wait]) == [("wait", "delay", 0, 4)]
    assert (wait.attributes["schedora.outcome"], wait.attributes["schedora.reason"]) == (
        "CANCELED",
        "unwanted",
    )


def test_a_run_that_is_canceled_or_released_is_no_error() -> None:
    life = Life()
    life.claim()
    life.after(1)
    life.end(Released(reason="drained"))
    assert told(life.spans())[2:4] == [("wait", "queue", 1, None), ("claim", None, 0, 1)]
    life.after(1)
    life.claim()
    life.start()
    life.job = life.job.canceled(now=life.after(1), reason="unwanted")
    *_, process, settled = life.spans()
    assert process.status is SpanStatus.UNSET
    assert (settled.attributes["schedora.outcome"], settled.attributes["schedora.reason"]) == (
        "CANCELED",
        "unwanted",
    )
    released = next(span for span in life.spans() if span.name == "settle default")
    assert released.attributes["schedora.reason"] == "drained"


def test_a_dead_job_that_is_requeued_waits_anew() -> None:
    life = Life()
    life.run(Failed(kind="Oops", message="it failed", retryable=False))
    life.job = life.job.requeued(now=life.after(10), reason="requeued")
    life.after(1)
    life.claim()
    assert told(life.spans())[1:3] == [("wait", "queue", 0, 0), ("wait", "queue", 13, 14)]
    assert [
        span.attributes["schedora.lease_token"] for span in life.spans() if span.name == "claim default"
    ] == [1, 2]


def upstream_of(job: Job, *ends: float | None) -> Lineage:
    """What the job depends on: each succeeded so many seconds after noon, or runs."""
    return Lineage(
        at=NOON + timedelta(seconds=100),
        upstream={
            job_id: Relative(
                job_id=job_id,
                key=f"k{place}",
                trace=OTHER_TRACE,
                status=JobState.RUNNING if end is None else JobState.SUCCESS,
                claimed_at=NOON,
                completed_at=None if end is None else NOON + timedelta(seconds=end),
            )
            for place, (job_id, end) in enumerate(zip(job.request.depends_on, ends, strict=True))
        },
    )


def test_what_it_depends_on_is_waited_for_and_linked() -> None:
    causes = (a_job_id(), a_job_id())
    life = Life(workflow_id=a_workflow_id(), depends_on=causes, waits_for=2, scheduled_at=NOON + 6 * SECOND)
    waiting = life.spans(upstream_of(life.job, 1, None))
    assert told(waiting)[1:] == [("wait", "dependency", 0, None)]
    life.after(10)
    life.run(Failed(kind="Oops", message="it failed"))
    life.after(100)
    life.run(Succeeded())
    spans = life.spans(upstream_of(life.job, 4, 1))
    waits = [span for span in spans if span.name == "wait default"]
    assert told(waits)[:3] == [
        ("wait", "dependency", 0, 4),
        ("wait", "delay", 4, 6),
        ("wait", "queue", 6, 10),
    ]
    assert [link.span_id for link in waits[0].links] == [process_span_id(cause, NOON) for cause in causes]
    assert {link.trace_id for link in waits[0].links} == {OTHER_TRACE.trace_id}
    assert waits[0].links[0].attributes == {"schedora.job_id": str(causes[0]), "schedora.key": "k0"}
    attempts = [span for span in spans if span.name == "process default"]
    assert [len(attempt.links) for attempt in attempts] == [2, 0]


def test_a_job_that_waits_for_one_waits_for_it_alone() -> None:
    life = Life(workflow_id=a_workflow_id(), depends_on=(a_job_id(),), waits_for=1)
    assert told(life.spans())[1:] == [("wait", "dependency", 0, None)]


@pytest.mark.parametrize(
    ("released", "waits"),
    [
        (0, [("queue", 0, None)]),
        (4, [("dependency", 0, 4), ("queue", 4, None)]),
        (100, [("dependency", 0, 100), ("queue", 100, None)]),
        (101, [("queue", 0, None)]),
    ],
)
def test_a_job_that_is_released_waits_in_the_queue_from_then_on(
    released: int, waits: list[tuple[str, float, float | None]]
) -> None:
    life = Life(workflow_id=a_workflow_id(), depends_on=(a_job_id(),))
    assert [row[1:] for row in told(life.spans(upstream_of(life.job, released)))[1:]] == waits


@pytest.mark.parametrize(("released", "waits"), [(10, ["dependency", "queue"]), (11, ["queue"])])
def test_what_succeeded_again_after_the_claim_tells_nothing_of_the_wait(
    released: int, waits: list[str]
) -> None:
    life = Life(workflow_id=a_workflow_id(), depends_on=(a_job_id(),))
    life.after(10)
    life.claim()
    rows = told(life.spans(upstream_of(life.job, released)))
    assert [reason for _, reason, *_ in rows if reason] == waits


def test_what_did_not_succeed_has_released_nothing() -> None:
    life = Life(workflow_id=a_workflow_id(), depends_on=(a_job_id(),))
    life.after(10)
    life.claim()
    lineage = upstream_of(life.job, 4)
    dead = {key: attrs.evolve(one, status=JobState.DEAD) for key, one in lineage.upstream.items()}
    assert told(life.spans(attrs.evolve(lineage, upstream=dead)))[1] == ("wait", "queue", 0, 10)


def test_whoever_held_it_links_the_first_attempt_to_those_of_its_causes() -> None:
    life = Life(workflow_id=a_workflow_id(), depends_on=(a_job_id(),))
    life.upstream = list(upstream_of(life.job, 4).upstream.values())
    first = life.run(Failed(kind="Oops", message="one"))
    life.after(60)
    second = life.run(Succeeded())
    assert [len(span.links) for span in first] == [0, 1, 0]
    assert [len(span.links) for span in second] == [0, 0, 0, 0]


def test_whoever_held_it_tells_of_waits_whose_beginning_it_knows() -> None:
    life = Life()
    life.after(5)
    names = [span.name.removesuffix(" default") for span in life.run(Failed(kind="Oops", message="one"))]
    assert names == ["wait", "claim", "process", "settle"]
    life.now = life.job.scheduled_at
    again = life.run(Succeeded())
    assert told(again[:1]) == [("wait", "queue", 68, 68)]
    assert again[0] in life.spans()


def test_an_end_tells_of_those_that_depended_on_it() -> None:
    life = Life(workflow_id=a_workflow_id())
    life.run(Succeeded())
    dependant = a_job_id()
    lineage = Lineage(at=NOON, dependants={life.job.job_id: Dependants(count=3, job_ids=(dependant,))})
    (event,) = life.spans(lineage)[-1].events
    assert (event.name, event.at_ns) == ("schedora.released", nanoseconds(life.now))
    assert event.attributes == {"schedora.dependants": 3, "schedora.job_ids": (str(dependant),)}


def test_a_job_whose_upstream_failed_waited_for_it_to_the_end() -> None:
    life = Life(workflow_id=a_workflow_id(), depends_on=(a_job_id(),), waits_for=1)
    life.job = life.job.canceled(now=life.after(3), reason=UPSTREAM_FAILED)
    lineage = Lineage(at=NOON, dependants={life.job.job_id: Dependants(count=1, job_ids=())})
    (_, wait) = life.spans(lineage)
    assert told([wait]) == [("wait", "dependency", 0, 3)]
    assert wait.events[0].name == "schedora.upstream_failed"


def test_a_history_that_is_no_longer_whole_is_told_from_where_it_begins() -> None:
    life = Life()
    for _ in range(HISTORY_LIMIT // 3 + 1):
        life.run(Snoozed(delay=timedelta(seconds=1), reason=None))
        life.after(1)
    assert len(life.job.history) == HISTORY_LIMIT
    submit, *others = life.spans()
    assert submit.attributes["schedora.history_cut"] is True
    assert others[0].start_ns > submit.start_ns
    assert [span.span_id for span in others if span.name.startswith("claim")][-1] == life.exported[-3].span_id


def test_of_a_history_that_is_no_longer_whole_each_claim_is_told_and_no_link_to_its_causes() -> None:
    life = Life(workflow_id=a_workflow_id(), depends_on=(a_job_id(),))
    for _ in range(HISTORY_LIMIT // 3 + 1):
        life.run(Snoozed(delay=timedelta(seconds=1), reason=None))
    life.claim()
    life.end(Released(reason="drained"))
    first, *others = life.job.history
    assert first.to_state is JobState.SCHEDULED
    spans = life.spans(upstream_of(life.job, 0))
    claims = [span for span in spans if span.name == "claim default"]
    assert len(claims) == 1 + sum(move.to_state is JobState.SCHEDULED for move in others)
    assert not any(span.links for span in spans)


def test_a_job_as_it_looks_in_each_state() -> None:
    for state in JobState:
        if state is not JobState.FAILED:
            spans = job_spans(a_job(state), Lineage(at=NOON + 100 * SECOND))
            assert len({span.span_id for span in spans}) == len(spans)
            assert any(span.end_ns is None for span in spans) == (
                state in {JobState.PENDING, JobState.RETRYING, JobState.SCHEDULED, JobState.RUNNING}
            )


UNSTARTED: tuple[Outcome, ...] = (Released(reason="drained"), WorkerLost(message="silent"))
ENDINGS: tuple[Outcome, ...] = (
    *UNSTARTED,
    Succeeded(),
    Failed(kind="Oops", message="it failed"),
    Failed(kind="Oops", message="it failed", retry_after=SECOND),
    Snoozed(delay=SECOND / 3, reason="later"),
)


@pytest.mark.parametrize("seed", range(30))
def test_what_holders_know_is_what_is_derived(seed: int) -> None:
    """Whatever happens."""
    chance = random.Random(seed)
    life = Life(
        scheduled_at=chance.choice([None, NOON - SECOND, NOON + 5 * SECOND]),
        key="k",
        workflow_id=a_workflow_id(),
    )
    for _ in range(20):
        life.now = max(life.now, life.job.scheduled_at)
        life.after(chance.random())
        life.claim()
        if chance.random() < 0.3:
            life.end(chance.choice(UNSTARTED))
        else:
            life.after(chance.random())
            life.start()
            life.after(chance.random())
            life.end(chance.choice(ENDINGS))
        spans = life.spans()
        derived = {span.span_id: span for span in spans}
        assert len(derived) == len(spans)
        assert [derived[known.span_id] for known in life.exported] == life.exported
        if life.job.ended:
            break


def test_attributes_are_named_as_published_or_as_our_own() -> None:
    published = {
        value
        for module in (messaging_attributes, exception_attributes, error_attributes, http_attributes)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str) and not deprecated(module, name)
    }
    life = Life(key="k", workflow_id=a_workflow_id(), depends_on=(a_job_id(),), waits_for=1)
    life.run(Failed(kind="Oops", message="it failed", traceback="Traceback"))
    life.job = life.job.canceled(now=life.after(1), reason="unwanted")
    lineage = attrs.evolve(
        upstream_of(life.job, 0), dependants={life.job.job_id: Dependants(count=1, job_ids=(a_job_id(),))}
    )
    names: set[str] = set()
    for span in life.spans(lineage):
        names |= span.attributes.keys()
        for event in span.events:
            names |= event.attributes.keys()
        for link in span.links:
            names |= link.attributes.keys()
    assert "exception.stacktrace" in names
    assert {name for name in names if not name.startswith("schedora.")} <= published


def deprecated(module: ModuleType, name: str) -> bool:
    """Whether the text behind its definition begins so."""
    _, _, behind = inspect.getsource(module).partition(f"\n{name}: Final = ")
    return bool(re.match(r'"[^"]+"\s+"""\s*Deprecated', behind))


def test_no_span_ends_before_it_begins_though_the_clock_is_set_back() -> None:
    life = Life()
    life.after(-5)
    life.claim()
    life.after(-1)
    life.start()
    life.after(-3)
    life.end(Succeeded())
    assert told(life.spans()) == [
        ("submit", None, 0, 0),
        ("wait", "queue", 0, 0),
        ("claim", None, -5, -5),
        ("process", None, -6, -6),
        ("settle", None, -9, -9),
    ]
    assert told(life.exported) == told(life.spans())[1:]
