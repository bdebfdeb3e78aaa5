"""What holds of every system: each invariant holds of what the engine does, and catches what it must not do."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import attrs
import pytest

from schedora.adapters.memory.lease_fields import as_held, claimed, started
from schedora.application.directives import Discard, Retry
from schedora.application.pipeline import completion_buffer, execute
from schedora.domain.completion import completed, settle
from schedora.domain.dependency import REQUEUED
from schedora.domain.events import ERRORS_LIMIT, HISTORY_LIMIT, JobEvent
from schedora.domain.ids import JsonText, LeaseToken, WorkerId
from schedora.domain.job import UPSTREAM_FAILED, Job
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, Outcome, Released, Snoozed, Succeeded, TimedOut, WorkerLost
from schedora.domain.retry import RetryKind, RetryPolicy
from schedora.domain.workflow import JobCounts, Workflow
from schedora.entrypoints import child
from schedora_torture import invariants
from schedora_torture.invariants import DEFAULT_TERMS, Guard, Invariant, SideEffect, Terms
from tests.builders import HOUR, NOON, SECOND, a_job, a_lease_id, a_request, a_workflow, an_incarnation

I = Invariant  # noqa: E741 - as S for the states
S = JobState
OOPS = Failed(kind="Oops", message="it failed")
LOST = WorkerLost(message="silent")


class Life:
    """A job that goes through what it is told, a second each step, on the domain's own functions."""

    def __init__(self, **request: Any) -> None:
        self.now = NOON
        self.job = attrs.evolve(a_job(), request=a_request(**request))
        self.seen = [self.job]

    def claim(self, worker: str = "w1") -> "Life":
        self.now = max(self._next(), self.job.scheduled_at)
        return self._becomes(
            claimed(
                self.job,
                lease_id=a_lease_id(),
                owner=an_incarnation(),
                worker_id=WorkerId(worker),
                now=self.now,
            )
        )

    def start(self) -> "Life":
        return self._becomes(started(self.job, self._next()))

    def end(self, outcome: Outcome, *, jitter: float = 0.0) -> "Life":
        held = as_held(self.job)
        completion = settle(
            held,
            outcome,
            started_at=held.started_at,
            ended_at=self._next(),
            unit_random=jitter,
            worker_deaths_max=3,
        )
        return self._becomes(completed(self.job, completion))

    def run(self, outcome: Outcome, *, jitter: float = 0.0) -> "Life":
        return self.claim().start().end(outcome, jitter=jitter)

    def cancel(self, reason: str = "canceled by request") -> "Life":
        return self._becomes(self.job.canceled(now=self._next(), reason=reason))

    def requeue(self) -> "Life":
        return self._becomes(self.job.requeued(now=self._next(), reason=REQUEUED))

    def forget(self) -> "Life":
        """Snooze until its history tells nothing of what was before. A snooze has three moves."""
        for _ in range(0, HISTORY_LIMIT, 3):
            self.run(Snoozed(delay=SECOND))
        return self

    def _becomes(self, job: Job) -> "Life":
        self.job = job
        self.seen.append(job)
        return self

    def _next(self) -> datetime:
        self.now += SECOND
        return self.now


def a_full_life() -> Life:
    """One that goes through every move of the table."""
    life = Life(retry=RetryPolicy(max_retries=2, kind=RetryKind.JITTER))
    life.claim().end(Released(reason="drained")).claim().end(LOST)
    life.run(Snoozed(delay=5 * SECOND)).run(OOPS, jitter=0.999).run(LOST).run(OOPS).requeue()
    life.run(TimedOut(timeout=SECOND)).cancel().requeue().claim().cancel().requeue().cancel().requeue()
    life.claim().start().cancel().requeue().run(Failed(kind="Retry", message="", retry_after=SECOND))
    return life.run(Succeeded())


def names(violations: Sequence[invariants.Violation]) -> set[Invariant]:
    return {violation.invariant for violation in violations}


def of_job(job: Job, terms: Terms = DEFAULT_TERMS) -> set[Invariant]:
    return names(invariants.of_job(job, terms))


def test_all_holds_of_a_job_at_every_step_of_a_full_life() -> None:
    seen = a_full_life().seen
    assert [violation for job in seen for violation in invariants.of_job(job)] == []
    assert [v for before, after in pairwise(seen) for v in invariants.of_change(before, after)] == []
    assert [violation for job in seen for violation in invariants.of_change(seen[0], job)] == []


def test_all_holds_of_poison_and_of_what_is_not_retried() -> None:
    poison = Life(retry=RetryPolicy(max_retries=9)).run(LOST).run(LOST).run(LOST)
    assert poison.job.status is S.DEAD
    assert of_job(poison.job) == set()
    discarded = Life().run(Failed(kind="Discard", message="", retryable=False))
    assert of_job(discarded.job) == set()


def test_all_holds_of_a_job_that_has_outlived_its_history() -> None:
    life = Life(retry=RetryPolicy(max_retries=100, base=SECOND, max_delay=SECOND))
    while len(life.job.errors) < ERRORS_LIMIT or len(life.job.history) < HISTORY_LIMIT:
        life.run(OOPS if life.job.retry_count < 100 else Snoozed(delay=SECOND))
        if life.job.retry_count == 100:
            life.run(OOPS).requeue()
        assert of_job(life.job) == set()
    life.run(Snoozed(delay=SECOND)).run(Succeeded())
    assert of_job(life.job) == set()


def lost_and_failed() -> Life:
    """Twice, and only the second time is still in its history."""
    life = Life(retry=RetryPolicy(max_retries=9)).run(OOPS).run(LOST).forget()
    return life.run(OOPS).run(LOST)


def test_all_holds_of_a_job_that_has_outlived_what_it_counts() -> None:
    assert invariants.of_job(lost_and_failed().job) == []


def counting(job: Job, counter: str, count: Any) -> Job:
    return attrs.evolve(job, **{counter: count})


@pytest.mark.parametrize(
    ("counter", "least", "caught"),
    [
        ("lease_token", 2 + (HISTORY_LIMIT - 2 * 4) // 3, I.TOKEN_COUNTS_CLAIMS),  # a failure has four moves
        ("attempt", 2, I.ATTEMPTS_COUNTED),
        ("retry_count", 2, I.RETRIES_COUNTED),
        ("worker_deaths", 1, I.DEATHS_COUNTED),
    ],
)
def test_a_job_counts_no_fewer_than_its_history_still_tells(
    counter: str, least: int, caught: Invariant
) -> None:
    job = lost_and_failed().job
    assert of_job(counting(job, counter, least)) == set()
    assert of_job(counting(job, counter, least - 1)) == {caught}


def test_a_job_has_no_fewer_errors_than_its_history_still_tells() -> None:
    job = lost_and_failed().job
    assert of_job(attrs.evolve(job, errors=job.errors[-2:])) == set()
    assert of_job(attrs.evolve(job, errors=job.errors[-1:])) == {I.ERRORS_TELL_FAILURES}


def test_the_time_that_was_asked_for_does_not_hold_behind_a_requeue_that_the_history_has_lost() -> None:
    life = Life(scheduled_at=NOON + HOUR).cancel().requeue()
    for _ in range(0, HISTORY_LIMIT, 2):
        life.claim().end(Released(reason="drained"))
    assert life.now < NOON + HOUR
    assert invariants.of_job(life.job) == []


def test_a_retry_may_ask_for_no_delay() -> None:
    at_once = Life().run(Failed(kind="Retry", message="", retry_after=timedelta(0)))
    assert invariants.of_job(at_once.job) == []


@pytest.mark.parametrize(
    "kind",
    [
        *(error.__name__ for error in (Discard,)),
        execute.INVALID_PAYLOAD,
        execute.INVALID_RESULT,
        completion_buffer.STORAGE_REFUSED,
        child.HANDLER_NOT_FOUND,
    ],
)
def test_the_kinds_that_are_not_retried_are_known(kind: str) -> None:
    assert kind in DEFAULT_TERMS.final_kinds


def test_the_kind_that_chooses_its_delay_is_known() -> None:
    assert DEFAULT_TERMS.own_delay_kinds == {Retry.__name__}


def a_move(from_state: JobState, to_state: JobState, **fields: Any) -> JobEvent:
    event = JobEvent(at=NOON + SECOND, from_state=from_state, to_state=to_state, attempt=1)
    return attrs.evolve(event, **fields)


def with_move(job: Job, position: int, **fields: Any) -> Job:
    """The same with another move in its history."""
    history = list(job.history)
    history[position] = attrs.evolve(history[position], **fields)
    return attrs.evolve(job, history=tuple(history))


def failed_once(**policy: Any) -> Job:
    return Life(retry=RetryPolicy(**policy)).run(OOPS).job


def succeeded_twice() -> Job:
    """As if a late success had overwritten a requeue, with its moves in the history."""
    life = Life().run(Succeeded())
    events = life.job.events()[1:]
    again = attrs.evolve(life.job, status=S.DEAD, history=(*events, a_move(S.SUCCESS, S.DEAD)))
    return attrs.evolve(again, history=(*again.history, a_move(S.DEAD, S.PENDING), *events), status=S.SUCCESS)


CAUGHT: dict[str, tuple[Callable[[], Job], set[Invariant]]] = {
    "a move that is not in the table": (
        lambda: attrs.evolve(
            a_job(S.DEAD), history=(a_move(S.PENDING, S.DEAD, reason="Discard"),), errors=(), attempt=0
        ),
        {I.LAWFUL_MOVES, I.TOKEN_COUNTS_CLAIMS},
    ),
    "a gap in the history": (
        lambda: with_move(failed_once(), 1, from_state=S.PENDING, to_state=S.SCHEDULED),
        {I.CHAINED_MOVES, I.TOKEN_COUNTS_CLAIMS},
    ),
    "a history that begins in the middle": (
        lambda: with_move(failed_once(), 0, from_state=S.RETRYING),
        {I.CHAINED_MOVES},
    ),
    "a status that its history does not lead to": (
        lambda: attrs.evolve(failed_once(), status=S.PENDING),
        {I.CHAINED_MOVES},
    ),
    "time that runs backwards": (
        lambda: with_move(failed_once(), 1, at=NOON - SECOND),
        {I.MOVES_IN_TIME},
    ),
    "two successes": (
        succeeded_twice,
        {I.ONE_SUCCESS, I.LAWFUL_MOVES, I.TOKEN_COUNTS_CLAIMS, I.ATTEMPTS_COUNTED, I.MOVES_IN_TIME},
    ),
    "a rest as FAILED": (
        lambda: attrs.evolve(failed_once(), status=S.FAILED, history=failed_once().history[:-1]),
        {I.NEVER_AT_REST_AS_FAILED, I.RETRIES_COUNTED},
    ),
    "a lease of nobody's": (lambda: attrs.evolve(a_job(S.RUNNING), lease=None), {I.LEASE_WHILE_HELD}),
    "a lease that was kept": (
        lambda: attrs.evolve(a_job(S.SUCCESS), lease=a_job(S.RUNNING).lease),
        {I.LEASE_WHILE_HELD},
    ),
    "a lease of another token": (
        lambda: attrs.evolve(a_job(S.RUNNING), lease_token=LeaseToken(2)),
        {I.LEASE_WHILE_HELD, I.TOKEN_COUNTS_CLAIMS},
    ),
    "a token that did not grow": (
        lambda: attrs.evolve(Life().run(OOPS).run(Succeeded()).job, lease_token=LeaseToken(1)),
        {I.TOKEN_COUNTS_CLAIMS},
    ),
    "a hand-back that uses up an attempt": (
        lambda: attrs.evolve(Life().run(Released(reason="drained")).job, attempt=1),
        {I.ATTEMPTS_COUNTED},
    ),
    "a failure that uses up none": (lambda: attrs.evolve(failed_once(), attempt=0), {I.ATTEMPTS_COUNTED}),
    "a retry that is not counted": (lambda: attrs.evolve(failed_once(), retry_count=0), {I.RETRIES_COUNTED}),
    "more retries than allowed": (
        lambda: attrs.evolve(failed_once(), request=a_request(retry=RetryPolicy(max_retries=0))),
        {I.RETRIES_COUNTED},
    ),
    "a budget that a requeue did not renew": (
        lambda: attrs.evolve(
            Life(retry=RetryPolicy(max_retries=1)).run(OOPS).run(OOPS).requeue().job, retry_count=1
        ),
        {I.RETRIES_COUNTED},
    ),
    "a death that is not counted": (
        lambda: attrs.evolve(Life().run(LOST).job, worker_deaths=0),
        {I.DEATHS_COUNTED},
    ),
    "a death that there was not": (lambda: attrs.evolve(failed_once(), worker_deaths=1), {I.DEATHS_COUNTED}),
    "poison that runs on": (
        lambda: Life(retry=RetryPolicy(max_retries=9)).run(LOST).run(LOST).job,
        {I.DEATHS_COUNTED},
    ),
    "poison too early": (
        lambda: with_move(
            attrs.evolve(Life(retry=RetryPolicy(max_retries=0)).run(LOST).job), -2, reason="poison"
        ),
        {I.DEATHS_COUNTED, I.ERRORS_TELL_FAILURES},
    ),
    "retries that were given up": (
        lambda: Life().run(attrs.evolve(OOPS, retryable=False)).job,
        {I.RETRIES_NOT_GIVEN_UP},
    ),
    "an end that nothing explains": (
        lambda: attrs.evolve(a_job(), status=S.DEAD),
        {I.CHAINED_MOVES, I.RETRIES_NOT_GIVEN_UP},
    ),
    "a retry too early": (
        lambda: attrs.evolve(
            with_move(failed_once(base=60 * SECOND), -1, due=NOON + 63 * SECOND - timedelta(microseconds=1)),
            scheduled_at=NOON + 63 * SECOND - timedelta(microseconds=1),
        ),
        {I.RETRY_DELAY},
    ),
    "a retry later than the jitter goes": (
        lambda: attrs.evolve(
            with_move(failed_once(kind=RetryKind.JITTER), -1, due=NOON + 93 * SECOND),
            scheduled_at=NOON + 93 * SECOND,
        ),
        {I.RETRY_DELAY},
    ),
    "a retry that says no time": (lambda: with_move(failed_once(), -1, due=None), {I.RETRY_DELAY}),
    "a delay of its own that is over before": (
        lambda: attrs.evolve(
            with_move(Life().run(Failed(kind="Retry", message="")).job, -1, due=NOON), scheduled_at=NOON
        ),
        {I.RETRY_DELAY},
    ),
    "a claim before the retry is due": (
        lambda: with_move(Life().run(OOPS).run(OOPS).job, 3, due=NOON + 300 * SECOND),
        {I.RETRY_DELAY, I.CLAIMED_WHEN_DUE},
    ),
    "a claim before the time asked for": (
        lambda: attrs.evolve(a_job(S.RUNNING), request=a_request(scheduled_at=NOON + 100 * SECOND)),
        {I.CLAIMED_WHEN_DUE},
    ),
    "a time that its history does not know": (
        lambda: attrs.evolve(failed_once(), scheduled_at=NOON),
        {I.CLAIMED_WHEN_DUE},
    ),
    "a time that a requeue did not set": (
        lambda: attrs.evolve(Life().cancel().requeue().job, scheduled_at=NOON),
        {I.CLAIMED_WHEN_DUE},
    ),
    "an error without a failure": (
        lambda: attrs.evolve(Life().run(Snoozed(delay=SECOND)).job, errors=failed_once().errors),
        {I.ERRORS_TELL_FAILURES},
    ),
    "an error that is not told": (lambda: attrs.evolve(failed_once(), errors=()), {I.ERRORS_TELL_FAILURES}),
    "an error of another attempt": (
        lambda: attrs.evolve(
            failed_once(), errors=tuple(attrs.evolve(error, attempt=7) for error in failed_once().errors)
        ),
        {I.ERRORS_TELL_FAILURES},
    ),
    "errors out of order": (
        lambda: with_move(
            attrs.evolve(job := Life().run(OOPS).run(OOPS).job, errors=(job.errors[1], job.errors[0])), 0
        ),
        {I.ERRORS_TELL_FAILURES},
    ),
}


@pytest.mark.parametrize("case", CAUGHT)
def test_what_must_not_be_of_a_job_is_caught(case: str) -> None:
    make, expected = CAUGHT[case]
    terms = Terms(worker_deaths_max=2) if case == "poison that runs on" else DEFAULT_TERMS
    assert of_job(make(), terms) == expected


def test_instants_may_be_wrong_by_the_error_of_clocks() -> None:
    job = with_move(failed_once(), 1, at=NOON - SECOND)
    assert of_job(job, Terms(clock_error=2 * SECOND)) == set()


def test_a_violation_is_told_in_one_line() -> None:
    job = attrs.evolve(failed_once(), attempt=0)
    [violation] = invariants.of_job(job)
    assert str(violation) == f"attempts_counted: {job.job_id}: it counts 0 attempts, and 1 were used up"


@pytest.mark.parametrize(
    "change",
    [
        lambda job: attrs.evolve(job, lease_token=LeaseToken(0)),
        lambda job: attrs.evolve(job, attempt=0),
        lambda job: attrs.evolve(job, result="2"),
        lambda job: attrs.evolve(job, status=S.CANCELED),
        lambda job: attrs.evolve(job, history=job.history[1:]),
    ],
)
def test_what_has_been_can_not_be_undone(change: Callable[[Job], Job]) -> None:
    job = Life().run(OOPS).run(Succeeded()).job
    assert names(invariants.of_change(job, change(job))) == {I.NOTHING_UNDONE}


def test_an_attempt_that_was_counted_at_its_start_may_be_given_back() -> None:
    life = Life().claim().start()
    running = life.job
    assert invariants.of_change(running, life.end(Snoozed(delay=SECOND)).job) == []


class Flow:
    """A workflow whose second job depends on the first."""

    def __init__(self, first: Life | None = None, second: Life | None = None, **workflow: Any) -> None:
        self.workflow_of = workflow
        cause = (first or Life()).job
        life = second or Life()
        workflow_id = a_workflow().workflow_id
        request = attrs.evolve(life.job.request, workflow_id=workflow_id, depends_on=(cause.job_id,))
        self.jobs = [
            cause,
            attrs.evolve(life.job, request=request, waits_for=int(cause.status is not S.SUCCESS)),
        ]

    def with_second(self, **fields: Any) -> "Flow":
        self.jobs[1] = attrs.evolve(self.jobs[1], **fields)
        return self

    def workflow(self) -> Workflow:
        states = [job.status for job in self.jobs]
        counts = JobCounts(
            total=2,
            succeeded=states.count(S.SUCCESS),
            failed=states.count(S.DEAD),
            canceled=states.count(S.CANCELED),
            running=states.count(S.RUNNING),
            begun=any(job.lease_token for job in self.jobs),
        )
        workflow = a_workflow(**({"counts": counts} | self.workflow_of))
        return attrs.evolve(workflow, completed_at=NOON if workflow.ended else None)

    def violated(self, workflow: Workflow | None = None) -> set[Invariant]:
        return names(invariants.of_workflow(workflow or self.workflow(), self.jobs))


def later(life: Life) -> Life:
    """One that begins when the other has ended."""
    after = Life()
    after.now = life.now
    return after


def test_all_holds_of_workflows() -> None:
    done = Life().run(Succeeded())
    dead = Life().run(attrs.evolve(OOPS, retryable=False))
    vain = Life().cancel(UPSTREAM_FAILED)
    assert Flow().violated() == set()
    assert Flow(first=Life().claim()).violated() == set()
    assert Flow(first=done).violated() == set()
    assert Flow(first=done, second=later(done).claim().start()).violated() == set()
    assert Flow(first=done, second=later(done).run(Succeeded())).violated() == set()
    assert Flow(first=done, second=later(done).cancel()).violated() == set()
    assert Flow(first=dead, second=vain).violated() == set()
    assert Flow(first=Life().cancel(), second=Life().cancel(), canceled_at=NOON).violated() == set()
    empty = a_workflow()
    assert invariants.of_workflow(empty, []) == []
    assert invariants.of_workflow(attrs.evolve(empty, canceled_at=NOON, completed_at=NOON), []) == []


def test_counts_that_are_not_those_of_the_jobs_are_caught() -> None:
    flow = Flow()
    assert flow.violated(attrs.evolve(flow.workflow(), counts=JobCounts(total=3))) == {I.WORKFLOW_COUNTS}


def test_a_status_that_is_not_that_of_the_jobs_is_caught() -> None:
    flow = Flow(first=Life().run(Succeeded()))
    counts = JobCounts(total=2, succeeded=2, begun=True)
    wrong = attrs.evolve(flow.workflow(), counts=counts, completed_at=NOON)
    assert flow.violated(wrong) == {I.WORKFLOW_COUNTS, I.WORKFLOW_STATUS}


def test_an_end_that_is_not_one_is_caught() -> None:
    flow = Flow()
    assert flow.violated(attrs.evolve(flow.workflow(), completed_at=NOON)) == {I.WORKFLOW_STATUS}


def test_a_release_that_was_lost_or_came_twice_is_caught() -> None:
    done = Life().run(Succeeded())
    assert Flow(first=done).with_second(waits_for=1).violated() == {I.WAITS_FOR_COUNTED}
    assert Flow(first=done).with_second(waits_for=-1).violated() == {I.WAITS_FOR_COUNTED}


def test_a_job_that_runs_before_its_upstream_has_succeeded_is_caught() -> None:
    running = Flow(second=Life().claim()).with_second(waits_for=1)
    assert running.violated() == {I.UPSTREAM_FIRST}
    early = Flow(first=Life().run(Succeeded()), second=Life().run(Succeeded()))
    assert early.violated() == {I.UPSTREAM_FIRST}


def test_a_job_that_outlives_its_upstream_is_caught() -> None:
    dead = Life().run(attrs.evolve(OOPS, retryable=False))
    assert Flow(first=dead).violated() == {I.UPSTREAM_FAILURE_CANCELS}


def test_a_job_that_stays_canceled_for_nothing_is_caught() -> None:
    assert Flow(second=Life().cancel(UPSTREAM_FAILED)).violated() == {I.CANCELED_FOR_A_CAUSE}


def an_effect(job: Job, token: int, attempt: int, **fields: Any) -> SideEffect:
    effect = SideEffect(
        job_id=job.job_id,
        lease_token=LeaseToken(token),
        attempt=attempt,
        at=NOON + 1000 * SECOND,
        worker_id=WorkerId("w1"),
    )
    return attrs.evolve(effect, **fields)


def violated(job: Job, *effects: SideEffect) -> set[Invariant]:
    return names(invariants.of_effects(iter([job]), iter(effects)))


@pytest.mark.parametrize("guard", Guard)
def test_all_holds_of_the_effects_of_a_success(guard: Guard) -> None:
    job = Life().run(OOPS).run(Succeeded()).job
    assert violated(job, an_effect(job, 2, 2, guard=guard)) == set()
    if guard is not Guard.COMPLETION:
        assert violated(job, an_effect(job, 1, 1, guard=guard), an_effect(job, 2, 2, guard=guard)) == set()


def test_all_holds_of_effects_of_what_has_not_ended() -> None:
    job = Life().run(OOPS).claim().job
    assert violated(job) == set()
    assert violated(job, an_effect(job, 1, 1)) == set()
    assert violated(job, an_effect(job, 2, 2)) == set()  # its start is not on record yet


def test_an_effect_that_has_no_claim_is_caught() -> None:
    job = Life().run(OOPS).job
    assert violated(job, an_effect(job, 2, 2)) == {I.EFFECT_OF_A_CLAIM}
    assert violated(job, an_effect(job, 1, 2)) == {I.EFFECT_OF_A_CLAIM}
    assert violated(job, an_effect(job, 1, 1, worker_id=WorkerId("w2"))) == {I.EFFECT_OF_A_CLAIM}
    assert violated(job, an_effect(job, 1, 1, at=NOON)) == {I.EFFECT_OF_A_CLAIM}
    assert violated(a_job(), an_effect(job, 1, 1)) == {I.EFFECT_OF_A_CLAIM}


def test_an_effect_whose_claim_the_history_has_lost_is_not_judged() -> None:
    life = Life().run(Snoozed(delay=SECOND)).forget()
    assert violated(life.job, an_effect(life.job, 1, 99)) == set()


def test_a_claim_that_ran_twice_is_caught() -> None:
    job = Life().run(Succeeded()).job
    assert violated(job, an_effect(job, 1, 1), an_effect(job, 1, 1)) == {I.ONE_EFFECT_A_CLAIM}


def test_a_success_without_its_effect_is_caught() -> None:
    job = Life().run(OOPS).run(Succeeded()).job
    assert violated(job, an_effect(job, 1, 1)) == {I.SUCCESS_HAS_ITS_EFFECT}


def test_what_committed_with_more_than_the_completion_is_caught() -> None:
    job = Life().run(OOPS).run(Succeeded()).job
    first, second = (an_effect(job, token, token, guard=Guard.COMPLETION) for token in (1, 2))
    assert violated(job, first, second) == {I.EFFECT_ONCE}
    assert violated(job, first) == {I.EFFECT_ONCE, I.SUCCESS_HAS_ITS_EFFECT}
    retrying = Life().run(OOPS).job
    assert violated(retrying, an_effect(retrying, 1, 1, guard=Guard.COMPLETION)) == {I.EFFECT_ONCE}


def test_a_stale_holder_that_wrote_last_is_caught() -> None:
    job = Life().run(OOPS).run(Succeeded()).job
    stale, winner = (an_effect(job, token, token, guard=Guard.TOKEN) for token in (1, 2))
    assert violated(job, winner, stale) == {I.TOKENS_DO_NOT_SHRINK}


def told(violations: Sequence[invariants.Violation]) -> list[str]:
    return [str(violation) for violation in violations]


def test_what_was_undone_is_told() -> None:
    job = Life().run(OOPS).run(Succeeded()).job
    assert told(invariants.of_change(job, attrs.evolve(job, result=JsonText("2"), worker_id=None))) == [
        f"nothing_undone: {job.job_id}: it had succeeded, and then changed its result, worker_id"
    ]
    assert told(invariants.of_change(job, attrs.evolve(job, history=job.history[1:]))) == [
        f"nothing_undone: {job.job_id}: its history was rewritten"
    ]
    running = Life().claim().start().job
    assert told(invariants.of_change(running, attrs.evolve(running, lease_token=LeaseToken(0)))) == [
        f"nothing_undone: {running.job_id}: lease_token went from 1 to 0"
    ]


def test_a_history_that_is_no_longer_whole_may_begin_later() -> None:
    life = Life().forget()
    full = life.job
    assert invariants.of_change(full, life.run(Snoozed(delay=SECOND)).job) == []


def test_what_is_wrong_with_a_workflow_is_told_of_it_and_of_its_jobs() -> None:
    flow = Flow(second=Life().claim()).with_second(waits_for=1)
    workflow = attrs.evolve(flow.workflow(), completed_at=NOON)
    cause, early = flow.jobs
    assert told(invariants.of_workflow(workflow, flow.jobs)) == [
        f"workflow_status: {workflow.workflow_id}: it is RUNNING, and its end is {NOON}",
        f"upstream_first: {early.job_id}: it was claimed, and job {cause.job_id}, on which it depends, is PENDING",
    ]
    vain = Flow(second=Life().cancel(UPSTREAM_FAILED))
    assert told(invariants.of_workflow(vain.workflow(), vain.jobs)) == [
        f"canceled_for_a_cause: {vain.jobs[1].job_id}: it was canceled for what it waited for, and that can succeed"
    ]


def test_all_holds_of_a_workflow_whose_jobs_ended_in_every_way() -> None:
    dead = Life().run(attrs.evolve(OOPS, retryable=False))
    jobs = [Life().run(Succeeded()).job, dead.job, Life().cancel(UPSTREAM_FAILED).job]
    counts = JobCounts(total=3, succeeded=1, failed=1, canceled=1, begun=True)
    assert invariants.of_workflow(a_workflow(counts=counts, completed_at=NOON), jobs) == []


@pytest.mark.parametrize(("error", "caught"), [(2, set()), (1.999, {I.UPSTREAM_FIRST})])
def test_a_claim_may_look_too_early_by_the_error_of_clocks(error: float, caught: set[Invariant]) -> None:
    """The cause ends two seconds after the other's claim."""
    flow = Flow(first=Life().run(Succeeded()), second=Life().run(Succeeded()))
    terms = Terms(clock_error=error * SECOND)
    assert names(invariants.of_workflow(flow.workflow(), flow.jobs, terms)) == caught


@pytest.mark.parametrize(("error", "caught"), [(1, set()), (0.999, {I.EFFECT_OF_A_CLAIM})])
def test_an_effect_may_look_too_early_by_the_error_of_clocks(error: float, caught: set[Invariant]) -> None:
    """It is a second older than its claim."""
    job = Life().run(Succeeded()).job
    terms = Terms(clock_error=error * SECOND)
    assert names(invariants.of_effects([job], [an_effect(job, 1, 1, at=NOON)], terms)) == caught


def test_what_is_wrong_with_effects_is_told_of_their_job() -> None:
    job, stranger = Life().run(OOPS).run(Succeeded()).job, a_job()
    effects = [an_effect(job, token, token, guard=Guard.TOKEN) for token in (2, 1)]
    assert told(invariants.of_effects([job], [*effects, an_effect(stranger, 7, 1)])) == [
        f"effect_of_a_claim: {stranger.job_id}: token 7 of a job that is not there",
        f"tokens_do_not_shrink: {job.job_id}: effects were accepted in the order of the tokens [2, 1]",
        f"tokens_do_not_shrink: {job.job_id}: token 2 succeeded, and the last effect is of token 1",
    ]
    first, second = (an_effect(job, token, token, guard=Guard.COMPLETION) for token in (1, 2))
    assert told(invariants.of_effects([job], [first, second])) == [
        f"effect_once: {job.job_id}: it has the effects of 2 claims: [1, 2]",
        f"effect_once: {job.job_id}: token 2 succeeded, and [1, 2] have effects",
    ]


def test_the_last_effect_is_told_whichever_came_before() -> None:
    job = Life().run(OOPS).run(OOPS).run(Succeeded()).job
    effects = [an_effect(job, token, token, guard=Guard.TOKEN) for token in (1, 3, 2)]
    assert told(invariants.of_effects([job], effects))[-1] == (
        f"tokens_do_not_shrink: {job.job_id}: token 3 succeeded, and the last effect is of token 2"
    )


def due_a_second_later(job: Job) -> Job:
    """Whatever its policy says, by the last move."""
    due = job.history[-1].at + SECOND
    return attrs.evolve(with_move(job, -1, due=due), scheduled_at=due)


def succeeded_two_times() -> Job:
    job = Life().run(Succeeded()).job
    back = (a_move(S.SUCCESS, S.DEAD), a_move(S.DEAD, S.PENDING))
    return attrs.evolve(job, history=(*job.events()[1:], *back))


ONE_RETRY = RetryPolicy(max_retries=1)


@pytest.mark.parametrize(
    ("job", "detail"),
    [
        (succeeded_two_times(), "it succeeded 2 times"),
        (
            with_move(failed_once(), 0, from_state=S.RETRYING),
            "it was created as PENDING, and its first move is from RETRYING",
        ),
        (
            due_a_second_later(failed_once()),
            "retry 1 after 0:00:01, and its policy says 0:01:00 to 0:01:00",
        ),
        (
            due_a_second_later(Life().run(OOPS).run(OOPS).job),
            "retry 2 after 0:00:01, and its policy says 0:02:00 to 0:02:00",
        ),
        (
            due_a_second_later(Life(retry=ONE_RETRY).run(OOPS).run(OOPS).requeue().run(OOPS).job),
            "retry 1 after 0:00:01, and its policy says 0:01:00 to 0:01:00",
        ),
    ],
    ids=["two successes", "another beginning", "first retry", "second retry", "first after a requeue"],
)
def test_what_is_wrong_with_a_job_is_told_by_its_numbers(job: Job, detail: str) -> None:
    assert detail in [violation.detail for violation in invariants.of_job(job)]


def test_two_errors_of_one_attempt_are_caught() -> None:
    job = Life().run(OOPS).run(OOPS).job
    twice = attrs.evolve(job, errors=(job.errors[1], job.errors[1]))
    assert "its errors are of the attempts [2, 2]" in [v.detail for v in invariants.of_job(twice)]


def test_who_is_claimed_when_due_is_not_taken_for_early_where_clocks_may_err() -> None:
    job = Life().run(OOPS).run(Succeeded()).job
    assert of_job(job, Terms(clock_error=SECOND)) == set()


def test_a_store_of_tokens_may_be_written_twice_by_one_and_is_not_judged_before_the_end() -> None:
    done = Life().run(Succeeded()).job
    twice = [an_effect(done, 1, 1, guard=Guard.TOKEN)] * 2
    assert violated(done, *twice) == {I.ONE_EFFECT_A_CLAIM}
    again = Life().run(OOPS).claim().job
    assert violated(again, an_effect(again, 1, 1, guard=Guard.TOKEN)) == set()


def test_behind_an_effect_that_is_not_judged_the_next_one_is() -> None:
    life = Life().run(Snoozed(delay=SECOND)).forget()
    lost, wrong = an_effect(life.job, 1, 99), an_effect(life.job, life.job.lease_token + 1, 1)
    assert violated(life.job, lost, wrong) == {I.EFFECT_OF_A_CLAIM}


def test_who_holds_a_job_that_nobody_is_to_hold_is_told() -> None:
    held, done = Life().claim().job, Life().run(Succeeded()).job
    assert told(invariants.of_job(attrs.evolve(held, lease=None))) == [
        f"lease_while_held: {held.job_id}: it is SCHEDULED, and nobody holds it"
    ]
    kept = attrs.evolve(done, lease=held.lease)
    assert told(invariants.of_job(kept)) == [
        f"lease_while_held: {done.job_id}: it is SUCCESS, and has a lease"
    ]
