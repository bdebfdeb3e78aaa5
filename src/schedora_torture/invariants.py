"""What holds of every system at every moment, whatever has failed: told from records alone.

Each check takes what anyone can read (jobs with their history, workflows, what handlers have written elsewhere) and
answers what is wrong with it: nothing, of a system that keeps its promises. ``docs/reliability.md`` says what is promised.
A workflow and its jobs must be of one look, and so must jobs and effects.

A job keeps its last ``HISTORY_LIMIT`` moves and ``ERRORS_LIMIT`` errors: of one that has had more, checks go as far as what is kept.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Final

from attrs import field, frozen

from schedora.domain.completion import POISON, WORKER_LOST
from schedora.domain.dependency import stands_in_the_way, waited_in_vain
from schedora.domain.events import ERRORS_LIMIT, HISTORY_LIMIT, JobEvent
from schedora.domain.ids import JobId, LeaseToken, WorkerId
from schedora.domain.job import Job
from schedora.domain.job_state import ENDED, HELD, MOVES, PASSING, REQUEUABLE, WAITING, JobState
from schedora.domain.workflow import JobCounts, Workflow, WorkflowState

_S = JobState
_NEARLY_ONE: Final = 1 - 2**-53


class Invariant(StrEnum):
    """Each has one name, which reports and tests go by."""

    # Of one job.
    LAWFUL_MOVES = "lawful_moves"
    """Every move is one of the table's."""
    CHAINED_MOVES = "chained_moves"
    """Each move begins where the one before ended, and the last ends in the job's status."""
    MOVES_IN_TIME = "moves_in_time"
    """No move is older than the one before."""
    ONE_SUCCESS = "one_success"
    """A job succeeds at most once, and that is final."""
    NEVER_AT_REST_AS_FAILED = "never_at_rest_as_failed"
    """FAILED is entered and left in one transaction."""
    LEASE_WHILE_HELD = "lease_while_held"
    """SCHEDULED and RUNNING have a lease under the job's token, and no other state has one."""
    TOKEN_COUNTS_CLAIMS = "token_counts_claims"  # noqa: S105 - no password
    """The lease token is the number of claims."""
    ATTEMPTS_COUNTED = "attempts_counted"
    """A run that succeeds, fails or is canceled uses up an attempt; a snooze or a hand-back does not."""
    RETRIES_COUNTED = "retries_counted"
    """``retry_count`` is the number of retries since the last requeue, and within the budget."""
    DEATHS_COUNTED = "deaths_counted"
    """``worker_deaths`` is the number of workers lost in a run since the last requeue; at the limit it is poison."""
    RETRIES_NOT_GIVEN_UP = "retries_not_given_up"
    """A failure is DEAD only where no retries are left or its kind says that retrying is useless."""
    RETRY_DELAY = "retry_delay"
    """The delay of each retry is the policy's, or the handler's own."""
    CLAIMED_WHEN_DUE = "claimed_when_due"
    """No claim comes before the job is due, and it is due when its history says."""
    ERRORS_TELL_FAILURES = "errors_tell_failures"
    """Each failed attempt is in ``errors``, in order."""
    # Of one job, at two moments.
    NOTHING_UNDONE = "nothing_undone"
    """Counters never shrink, what happened stays in the history, and a SUCCESS stays as it is."""
    # Of a workflow.
    WORKFLOW_COUNTS = "workflow_counts"
    """A workflow's counts are those of its jobs."""
    WORKFLOW_STATUS = "workflow_status"
    """A workflow's status, and whether it is complete, are as its jobs say."""
    WAITS_FOR_COUNTED = "waits_for_counted"
    """A job that has not ended waits for as many as have not succeeded of those it depends on."""
    UPSTREAM_FIRST = "upstream_first"
    """No job is claimed before all that it depends on are SUCCESS."""
    UPSTREAM_FAILURE_CANCELS = "upstream_failure_cancels"
    """What depends on a job that is DEAD or CANCELED is CANCELED."""
    CANCELED_FOR_A_CAUSE = "canceled_for_a_cause"
    """A job is CANCELED as ``upstream_failed`` only while one that it depends on is DEAD or CANCELED."""
    # Of effects.
    EFFECT_OF_A_CLAIM = "effect_of_a_claim"
    """An effect bears the token, attempt and worker of a claim that there was, and is not older than it."""
    ONE_EFFECT_A_CLAIM = "one_effect_a_claim"
    """One claim is one run: it has one effect at most."""
    SUCCESS_HAS_ITS_EFFECT = "success_has_its_effect"
    """The claim that succeeded has its effect."""
    EFFECT_ONCE = "effect_once"
    """Of what commits with the completion there is one where the job is SUCCESS, and none where it is not."""
    TOKENS_DO_NOT_SHRINK = "tokens_do_not_shrink"
    """A store that refuses smaller tokens is written last by the claim that succeeded."""


@frozen
class Violation:
    """``subject`` is the id of the job or workflow."""

    invariant: Invariant
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.subject}: {self.detail}"


@frozen(kw_only=True)
class Terms:
    """What records do not tell."""

    clock_error: timedelta = timedelta(0)
    """So much may instants be wrong that come from different clocks."""
    worker_deaths_max: int = 3
    own_delay_kinds: frozenset[str] = frozenset({"Retry"})
    """Failures of these kinds choose their delay."""
    final_kinds: frozenset[str] = frozenset(
        {"Discard", "invalid_payload", "invalid_result", "storage_refused", "handler_not_found", POISON}
    )
    """Failures of these kinds are not retried."""


DEFAULT_TERMS: Final = Terms()


class Guard(StrEnum):
    """What keeps an effect from happening twice."""

    NONE = "none"
    """Nothing: once for each run that comes so far."""
    TOKEN = "token"  # noqa: S105 - no password
    """Its store refuses a lease token smaller than the last."""
    COMPLETION = "completion"
    """It commits with the completion of its job, or not at all."""


@frozen(kw_only=True)
class SideEffect:
    """What one run has written outside of its job's record."""

    job_id: JobId
    lease_token: LeaseToken
    attempt: int
    at: datetime
    worker_id: WorkerId | None
    """None where it is not told."""
    guard: Guard = Guard.NONE


def of_job(job: Job, terms: Terms = DEFAULT_TERMS) -> list[Violation]:
    """What is wrong with one record and its history."""
    course = _Course(job=job, terms=terms)
    return [
        Violation(invariant, str(job.job_id), detail)
        for invariant, check in _JOB_CHECKS.items()
        for detail in check(course)
    ]


def of_change(before: Job, after: Job) -> list[Violation]:
    """What is wrong with two looks at one job, the second after the first."""
    return [
        Violation(Invariant.NOTHING_UNDONE, str(before.job_id), detail) for detail in _undone(before, after)
    ]


def of_workflow(workflow: Workflow, jobs: Iterable[Job], terms: Terms = DEFAULT_TERMS) -> list[Violation]:
    """What is wrong with a workflow and between its jobs, of which all must be given. Each by itself is up to ``of_job``."""
    members = {job.job_id: job for job in jobs}
    subject = str(workflow.workflow_id)
    violations = [
        Violation(invariant, subject, detail)
        for invariant, check in _WORKFLOW_CHECKS.items()
        for detail in check(workflow, members)
    ]
    for job in members.values():
        upstream = [members[cause] for cause in job.request.depends_on if cause in members]
        violations += [
            Violation(invariant, str(job.job_id), detail)
            for invariant, edge_check in _EDGE_CHECKS.items()
            for detail in edge_check(job, upstream, terms)
        ]
    return violations


def of_effects(
    jobs: Iterable[Job], effects: Iterable[SideEffect], terms: Terms = DEFAULT_TERMS
) -> list[Violation]:
    """What is wrong with what handlers wrote. ``jobs`` are those of which each run that succeeds writes once, under one
    guard; ``effects`` come in the order in which they were written.
    """
    courses = {job.job_id: _Course(job=job, terms=terms) for job in jobs}
    by_job: dict[JobId, list[SideEffect]] = {job_id: [] for job_id in courses}
    violations = []
    for effect in effects:
        if effect.job_id in by_job:
            by_job[effect.job_id].append(effect)
        else:
            detail = f"token {effect.lease_token} of a job that is not there"
            violations.append(Violation(Invariant.EFFECT_OF_A_CLAIM, str(effect.job_id), detail))
    for job_id, written in by_job.items():
        violations += [
            Violation(invariant, str(job_id), detail)
            for invariant, check in _EFFECT_CHECKS.items()
            for detail in check(courses[job_id], written)
        ]
    return violations


@frozen(slots=False)
class _Course:
    """A job's way so far."""

    job: Job = field(kw_only=True)
    terms: Terms = field(kw_only=True)

    @cached_property
    def events(self) -> tuple[JobEvent, ...]:
        """Those that are kept, without its creation."""
        return self.job.events()[1:]

    @cached_property
    def whole(self) -> bool:
        """Whether nothing was dropped from its history."""
        return len(self.job.history) < HISTORY_LIMIT

    @cached_property
    def claims(self) -> Mapping[LeaseToken, JobEvent]:
        """The claims that are kept, by their tokens: the newest has the job's."""
        newest_first = [event for event in reversed(self.events) if event.to_state is _S.SCHEDULED]
        return {LeaseToken(self.job.lease_token - back): event for back, event in enumerate(newest_first)}

    @cached_property
    def life(self) -> Sequence[JobEvent]:
        """Since the last requeue."""
        begin = 0
        for position, event in enumerate(self.events):
            if event.from_state in REQUEUABLE:
                begin = position + 1
        return self.events[begin:]

    @cached_property
    def whole_life(self) -> bool:
        return self.whole or len(self.life) < len(self.events)


def _lawful(course: _Course) -> Iterator[str]:
    for event in course.events:
        if event.from_state is None or (event.from_state, event.to_state) not in MOVES:
            yield f"{event.from_state} to {event.to_state} at {event.at.isoformat()}"


def _chained(course: _Course) -> Iterator[str]:
    job, events = course.job, course.events
    if course.whole and events and events[0].from_state is not _S.PENDING:
        yield f"it was created as PENDING, and its first move is from {events[0].from_state}"
    for earlier, later in pairwise(events):
        if earlier.to_state is not later.from_state:
            yield f"after a move to {earlier.to_state} comes one from {later.from_state}"
    last = events[-1].to_state if events else _S.PENDING
    if last is not job.status:
        yield f"it is {job.status}, and its last move is to {last}"


def _in_time(course: _Course) -> Iterator[str]:
    for earlier, later in pairwise(course.job.events()):
        if later.at < earlier.at - course.terms.clock_error:
            yield (
                f"{later.to_state} at {later.at.isoformat()} comes after {earlier.to_state} at {earlier.at.isoformat()}"
            )


def _one_success(course: _Course) -> Iterator[str]:
    successes = sum(event.to_state is _S.SUCCESS for event in course.events)
    if successes > 1:
        yield f"it succeeded {successes} times"
    if successes and course.job.status is not _S.SUCCESS:
        yield f"it had succeeded, and is {course.job.status}"


def _not_failed(course: _Course) -> Iterator[str]:
    if course.job.status in PASSING:
        yield f"it rests as {course.job.status}"


def _leased(course: _Course) -> Iterator[str]:
    job = course.job
    if (job.lease is not None) != (job.status in HELD):
        yield f"it is {job.status}, and {'nobody holds it' if job.lease is None else 'has a lease'}"
    if job.lease is not None and job.lease.token != job.lease_token:
        yield f"its lease has token {job.lease.token}, the job {job.lease_token}"


def _claims_counted(course: _Course) -> Iterator[str]:
    claims, token = len(course.claims), course.job.lease_token
    if claims != token if course.whole else claims > token:
        yield f"its token is {token} after {claims} claims"


def _attempts_counted(course: _Course) -> Iterator[str]:
    job = course.job
    used = sum(
        event.from_state is _S.RUNNING and event.to_state is not _S.PENDING for event in course.events
    ) + (job.status is _S.RUNNING)
    if used != job.attempt if course.whole else used > job.attempt:
        yield f"it counts {job.attempt} attempts, and {used} were used up"


def _retries_counted(course: _Course) -> Iterator[str]:
    job = course.job
    retries = sum(event.to_state is _S.RETRYING for event in course.life)
    if retries != job.retry_count if course.whole_life else retries > job.retry_count:
        yield f"it counts {job.retry_count} retries, and {retries} were made"
    if job.retry_count > job.request.retry.max_retries:
        yield f"{job.retry_count} retries were made, and {job.request.retry.max_retries} are allowed"


def _deaths_counted(course: _Course) -> Iterator[str]:
    job, deaths_max = course.job, course.terms.worker_deaths_max
    failures = [event for event in course.life if event.to_state is _S.FAILED]
    deaths = sum(event.reason in (WORKER_LOST, POISON) for event in failures)
    if deaths != job.worker_deaths if course.whole_life else deaths > job.worker_deaths:
        yield f"it counts {job.worker_deaths} lost workers, and {deaths} were"
    if job.worker_deaths >= deaths_max and job.status is not _S.DEAD:
        yield f"{job.worker_deaths} workers were lost while running it, and it is {job.status}"
    if failures and failures[-1].reason == POISON and job.worker_deaths < deaths_max:
        yield f"it is poison after {job.worker_deaths} lost workers"


def _not_given_up(course: _Course) -> Iterator[str]:
    job = course.job
    if job.status is not _S.DEAD or not job.request.retry.retries_left(job.retry_count):
        return
    reason = course.events[-1].reason if course.events else None
    if reason not in course.terms.final_kinds:
        yield f"{reason} made it DEAD after {job.retry_count} of {job.request.retry.max_retries} retries"


def _delays(course: _Course) -> Iterator[str]:
    policy = course.job.request.retry
    made = 0 if course.whole else None
    for event in course.events:
        if event.from_state in REQUEUABLE:
            made = 0
        if event.to_state is not _S.RETRYING:
            continue
        if event.due is None:
            yield f"the retry decided at {event.at.isoformat()} does not say when it is due"
        elif event.reason in course.terms.own_delay_kinds:
            if event.due < event.at:
                yield f"the retry decided at {event.at.isoformat()} was due before"
        elif made is not None:
            delay = event.due - event.at
            least, most = policy.delay(made, 0.0), policy.delay(made, _NEARLY_ONE)
            if not least <= delay <= most:
                yield f"retry {made + 1} after {delay}, and its policy says {least} to {most}"
        made = None if made is None else made + 1


def _when_due(course: _Course) -> Iterator[str]:
    job = course.job
    due = job.request.scheduled_at if course.whole else None
    for event in course.events:
        if event.from_state in REQUEUABLE:
            due = event.at
        due = event.due or due
        if event.to_state is _S.SCHEDULED and due is not None and event.at < due - course.terms.clock_error:
            yield f"it was claimed at {event.at.isoformat()}, and due at {due.isoformat()}"
    if job.status in WAITING and due is not None and job.scheduled_at != due:
        yield f"it is due at {job.scheduled_at.isoformat()}, and its history says {due.isoformat()}"


def _errors_told(course: _Course) -> Iterator[str]:
    job = course.job
    failures = [event for event in course.events if event.to_state is _S.FAILED]
    told = min(len(failures), ERRORS_LIMIT)
    if len(job.errors) != told if course.whole else len(job.errors) < told:
        yield f"it failed {len(failures)} times, and tells {len(job.errors)} errors"
        return
    for event, error in zip(reversed(failures), reversed(job.errors), strict=False):
        if (event.attempt, event.at, event.reason) != (error.attempt, error.at, error.kind):
            yield (
                f"attempt {event.attempt} failed with {event.reason} at {event.at.isoformat()}, and its error is"
                f" {error.kind} of attempt {error.attempt} at {error.at.isoformat()}"
            )
    attempts = [error.attempt for error in job.errors]
    if any(later <= earlier for earlier, later in pairwise(attempts)):
        yield f"its errors are of the attempts {attempts}"


_JOB_CHECKS: Final[Mapping[Invariant, Callable[[_Course], Iterator[str]]]] = {
    Invariant.LAWFUL_MOVES: _lawful,
    Invariant.CHAINED_MOVES: _chained,
    Invariant.MOVES_IN_TIME: _in_time,
    Invariant.ONE_SUCCESS: _one_success,
    Invariant.NEVER_AT_REST_AS_FAILED: _not_failed,
    Invariant.LEASE_WHILE_HELD: _leased,
    Invariant.TOKEN_COUNTS_CLAIMS: _claims_counted,
    Invariant.ATTEMPTS_COUNTED: _attempts_counted,
    Invariant.RETRIES_COUNTED: _retries_counted,
    Invariant.DEATHS_COUNTED: _deaths_counted,
    Invariant.RETRIES_NOT_GIVEN_UP: _not_given_up,
    Invariant.RETRY_DELAY: _delays,
    Invariant.CLAIMED_WHEN_DUE: _when_due,
    Invariant.ERRORS_TELL_FAILURES: _errors_told,
}


def _undone(before: Job, after: Job) -> Iterator[str]:
    for name in ("lease_token", "attempt"):
        earlier, later = getattr(before, name), getattr(after, name)
        # A start that is taken back by a snooze or a hand-back had counted an attempt.
        if later < earlier - (name == "attempt" and before.status is _S.RUNNING):
            yield f"{name} went from {earlier} to {later}"
    if before.status is _S.SUCCESS:
        fields = ("status", "result", "completed_at", "lease_token", "attempt", "retry_count", "worker_id")
        changed = [name for name in fields if getattr(before, name) != getattr(after, name)]
        if changed:
            yield f"it had succeeded, and then changed its {', '.join(changed)}"
    earlier_moves, later_moves = map(_moves, (before, after))
    if len(after.history) < HISTORY_LIMIT and later_moves[: len(earlier_moves)] != earlier_moves:
        yield "its history was rewritten"


def _moves(job: Job) -> list[tuple[JobState | None, JobState, datetime]]:
    return [(event.from_state, event.to_state, event.at) for event in job.events()]


def _counts(workflow: Workflow, members: Mapping[JobId, Job]) -> Iterator[str]:
    states = Counter(job.status for job in members.values())
    told = JobCounts(
        total=len(members),
        succeeded=states[_S.SUCCESS],
        failed=states[_S.DEAD],
        canceled=states[_S.CANCELED],
        running=states[_S.RUNNING],
        begun=any(job.lease_token for job in members.values()),
    )
    if workflow.counts != told:
        yield f"it counts {workflow.counts}, and has {told}"


def _status(workflow: Workflow, members: Mapping[JobId, Job]) -> Iterator[str]:
    states = {job.status for job in members.values()}
    if states <= ENDED and (states or workflow.canceled_at):
        if workflow.canceled_at is not None:
            told = WorkflowState.CANCELED
        elif _S.DEAD in states:
            told = WorkflowState.FAILED
        else:
            told = WorkflowState.CANCELED if _S.CANCELED in states else WorkflowState.SUCCESS
    elif states & ENDED or any(job.lease_token for job in members.values()):
        told = WorkflowState.RUNNING
    else:
        told = WorkflowState.PENDING
    if workflow.status is not told:
        yield f"it is {workflow.status}, and its jobs say {told}"
    if (workflow.completed_at is not None) != workflow.ended:
        yield f"it is {workflow.status}, and its end is {workflow.completed_at}"


_WORKFLOW_CHECKS: Final[Mapping[Invariant, Callable[[Workflow, Mapping[JobId, Job]], Iterator[str]]]] = {
    Invariant.WORKFLOW_COUNTS: _counts,
    Invariant.WORKFLOW_STATUS: _status,
}


def _waits(job: Job, upstream: Sequence[Job], _terms: Terms) -> Iterator[str]:
    missing = sum(cause.status is not _S.SUCCESS for cause in upstream)
    if not job.ended and job.waits_for != missing:
        yield f"it waits for {job.waits_for}, and {missing} that it depends on have not succeeded"


def _upstream_first(job: Job, upstream: Sequence[Job], terms: Terms) -> Iterator[str]:
    claims = _Course(job=job, terms=terms).claims
    if not job.lease_token:
        return
    for cause in upstream:
        if cause.status is not _S.SUCCESS:
            yield f"it was claimed, and job {cause.job_id}, on which it depends, is {cause.status}"
        elif cause.completed_at is not None:
            early = [claim for claim in claims.values() if claim.at < cause.completed_at - terms.clock_error]
            if early:
                yield (
                    f"it was claimed at {early[-1].at.isoformat()}, and job {cause.job_id}, on which it depends,"
                    f" succeeded at {cause.completed_at.isoformat()}"
                )


def _failure_cancels(job: Job, upstream: Sequence[Job], _terms: Terms) -> Iterator[str]:
    for cause in upstream:
        if stands_in_the_way(cause.status) and job.status is not _S.CANCELED:
            yield f"it is {job.status}, and job {cause.job_id}, on which it depends, is {cause.status}"


def _caused(job: Job, upstream: Sequence[Job], _terms: Terms) -> Iterator[str]:
    known = len(upstream) == len(job.request.depends_on) > 0
    if known and waited_in_vain(job) and not any(stands_in_the_way(cause.status) for cause in upstream):
        yield "it was canceled for what it waited for, and that can succeed"


_EDGE_CHECKS: Final[Mapping[Invariant, Callable[[Job, Sequence[Job], Terms], Iterator[str]]]] = {
    Invariant.WAITS_FOR_COUNTED: _waits,
    Invariant.UPSTREAM_FIRST: _upstream_first,
    Invariant.UPSTREAM_FAILURE_CANCELS: _failure_cancels,
    Invariant.CANCELED_FOR_A_CAUSE: _caused,
}


def _of_a_claim(course: _Course, effects: Sequence[SideEffect]) -> Iterator[str]:
    for effect in effects:
        token = effect.lease_token
        if not 1 <= token <= course.job.lease_token:
            yield f"token {token} was never given; {course.job.lease_token} is the newest"
        elif (claim := course.claims.get(token)) is None:
            continue  # no longer in its history
        elif effect.attempt != claim.attempt or effect.worker_id not in (None, claim.worker_id):
            yield (
                f"token {token} was that of attempt {claim.attempt} by {claim.worker_id}, and the effect says"
                f" attempt {effect.attempt} by {effect.worker_id}"
            )
        elif effect.at < claim.at - course.terms.clock_error:
            yield f"token {token} was given at {claim.at.isoformat()}, and its effect is of {effect.at.isoformat()}"


def _one_a_claim(_course: _Course, effects: Sequence[SideEffect]) -> Iterator[str]:
    for token, times in Counter(effect.lease_token for effect in effects).items():
        if times > 1:
            yield f"token {token} has {times} effects"


def _has_its_effect(course: _Course, effects: Sequence[SideEffect]) -> Iterator[str]:
    job = course.job
    if job.status is _S.SUCCESS and job.lease_token not in {effect.lease_token for effect in effects}:
        yield f"it succeeded under token {job.lease_token}, which has no effect"


def _once(course: _Course, effects: Sequence[SideEffect]) -> Iterator[str]:
    job = course.job
    tokens = [effect.lease_token for effect in effects if effect.guard is Guard.COMPLETION]
    if len(tokens) > 1:
        yield f"it has the effects of {len(tokens)} claims: {tokens}"
    if tokens and job.status is not _S.SUCCESS:
        yield f"it is {job.status}, and token {tokens[-1]} has an effect"
    elif tokens and tokens != [job.lease_token]:
        yield f"token {job.lease_token} succeeded, and {tokens} have effects"


def _not_shrinking(course: _Course, effects: Sequence[SideEffect]) -> Iterator[str]:
    job = course.job
    tokens = [effect.lease_token for effect in effects if effect.guard is Guard.TOKEN]
    if any(later < earlier for earlier, later in pairwise(tokens)):
        yield f"effects were accepted in the order of the tokens {tokens}"
    if tokens and job.status is _S.SUCCESS and tokens[-1] != job.lease_token:
        yield f"token {job.lease_token} succeeded, and the last effect is of token {tokens[-1]}"


_EFFECT_CHECKS: Final[Mapping[Invariant, Callable[[_Course, Sequence[SideEffect]], Iterator[str]]]] = {
    Invariant.EFFECT_OF_A_CLAIM: _of_a_claim,
    Invariant.ONE_EFFECT_A_CLAIM: _one_a_claim,
    Invariant.SUCCESS_HAS_ITS_EFFECT: _has_its_effect,
    Invariant.EFFECT_ONCE: _once,
    Invariant.TOKENS_DO_NOT_SHRINK: _not_shrinking,
}
