"""What a run's outcome makes of its job: every outcome, started or not, with every number of retries left."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion, completed
from schedora.domain.errors import IllegalMove
from schedora.domain.events import ERRORS_LIMIT, HISTORY_LIMIT, AttemptError, JobEvent
from schedora.domain.ids import JsonText, LeaseToken
from schedora.domain.job_request import LATEST
from schedora.domain.job_state import ENDED, MOVES, WAITING, JobState
from schedora.domain.outcome import Failed, Outcome, Released, Snoozed, Succeeded, TimedOut, WorkerLost
from schedora.domain.retry import RetryKind, RetryPolicy
from tests.builders import (
    HOUR,
    NOON,
    SECOND,
    a_claimed_job,
    a_job,
    a_lease_id,
    a_workflow_id,
    as_claimed,
    settled,
)

S = JobState
ENDED_AT = NOON + 3 * SECOND
OUTCOMES: list[Outcome] = [
    Succeeded(result=JsonText("1")),
    Failed(kind="Oops", message="it failed", traceback="…"),
    Failed(kind="Oops", message="hopeless", retryable=False),
    Failed(kind="Oops", message="soon", retry_after=SECOND),
    TimedOut(timeout=HOUR),
    Snoozed(delay=HOUR),
    Released(reason="draining"),
    WorkerLost(message="silence"),
]

outcomes = st.sampled_from(OUTCOMES)
claims = st.builds(
    a_claimed_job,
    waited_as=st.sampled_from(sorted(WAITING)),
    attempt=st.integers(0, 300),
    retry_count=st.integers(0, 100),
    worker_deaths=st.integers(0, 5),
    retry=st.builds(RetryPolicy, kind=st.sampled_from(RetryKind), max_retries=st.integers(0, 100)),
    started_at=st.just(NOON + 2 * SECOND),
)


def walk(completion: Completion) -> list[JobState]:
    return [event.to_state for event in completion.moves]


@pytest.mark.parametrize(
    ("outcome", "walked"),
    [
        (OUTCOMES[1], [S.SCHEDULED, S.RUNNING, S.FAILED, S.RETRYING]),
        (OUTCOMES[2], [S.SCHEDULED, S.RUNNING, S.FAILED, S.DEAD]),
        (OUTCOMES[3], [S.SCHEDULED, S.RUNNING, S.FAILED, S.RETRYING]),
        (OUTCOMES[4], [S.SCHEDULED, S.RUNNING, S.FAILED, S.RETRYING]),
        (OUTCOMES[5], [S.SCHEDULED, S.RUNNING, S.PENDING]),
        (OUTCOMES[6], [S.SCHEDULED, S.RUNNING, S.PENDING]),
        (OUTCOMES[7], [S.SCHEDULED, S.RUNNING, S.FAILED, S.RETRYING]),
    ],
)
def test_each_outcome_walks_its_way(outcome: Outcome, walked: list[JobState]) -> None:
    completion = settled(a_claimed_job(), outcome)
    assert walk(completion) == walked
    assert completion.status is walked[-1]


def test_success_adds_nothing_to_the_history_that_the_columns_tell() -> None:
    completion = settled(a_claimed_job(), Succeeded(result=JsonText('"ok"')))
    assert (completion.status, completion.moves, completion.result) == (S.SUCCESS, (), '"ok"')
    assert (completion.error, completion.scheduled_at, completion.attempt) == (None, None, 1)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_attempt_that_did_not_start_can_only_be_given_back(outcome: Outcome) -> None:
    claimed = a_claimed_job(started_at=None)
    if not isinstance(outcome, Snoozed | Released | WorkerLost):
        with pytest.raises(IllegalMove):
            settled(claimed, outcome)
        return
    completion = settled(claimed, outcome)
    assert walk(completion) == [S.SCHEDULED, S.PENDING]
    assert (completion.attempt, completion.retry_count, completion.worker_deaths) == (0, 0, 0)
    assert completion.error is None
    assert completion.suspect is isinstance(outcome, WorkerLost)
    assert completion.moves[-1].reason is not None


def test_suspect_that_did_not_start_stays_suspect_and_one_that_ran_does_not() -> None:
    waited, ran = a_claimed_job(suspect=True, started_at=None), a_claimed_job(suspect=True)
    assert settled(waited, Released(reason="no room")).suspect
    assert not settled(ran, Released(reason="draining")).suspect


@given(claims, outcomes)
def test_every_completion_is_a_legal_walk(claimed: ClaimedJob, outcome: Outcome) -> None:
    completion = settled(claimed, outcome)
    if completion.status is S.SUCCESS:
        return
    moves = completion.moves
    assert moves[0].from_state is claimed.waited_as
    assert all((move.from_state, move.to_state) in MOVES for move in moves)
    assert all(before.to_state is after.from_state for before, after in pairwise(moves))
    assert [move.at for move in moves] == sorted(move.at for move in moves)
    assert {move.attempt for move in moves} == {claimed.current_attempt}
    assert {move.worker_id for move in moves} == {claimed.worker_id}
    assert completion.status is moves[-1].to_state


@given(claims, outcomes)
def test_every_completion_is_addressed_to_its_lease(claimed: ClaimedJob, outcome: Outcome) -> None:
    completion = settled(claimed, outcome)
    for name in ("job_id", "lease_id", "lease_token", "workflow_id", "type", "queue"):
        assert getattr(completion, name) == getattr(claimed, name)
    assert completion.ends_job is (completion.status in ENDED)


@given(claims, outcomes)
def test_attempts_and_retries_are_counted(claimed: ClaimedJob, outcome: Outcome) -> None:
    completion = settled(claimed, outcome)
    used = not isinstance(outcome, Snoozed | Released)
    assert completion.attempt == claimed.attempt + used
    assert completion.retry_count == claimed.retry_count + (completion.status is S.RETRYING)
    assert completion.worker_deaths == claimed.worker_deaths + isinstance(outcome, WorkerLost)
    stays = not completion.ends_job
    assert completion.suspect is (stays and completion.worker_deaths > 0)
    failed = used and not isinstance(outcome, Succeeded)
    assert (completion.error is not None) is failed
    if completion.error is not None:
        assert (completion.error.attempt, completion.error.at) == (claimed.current_attempt, ENDED_AT)


@given(claims, st.sampled_from([OUTCOMES[1], OUTCOMES[3], OUTCOMES[4]]))
def test_failure_is_retried_while_retries_are_left(claimed: ClaimedJob, outcome: Outcome) -> None:
    completion = settled(claimed, outcome)
    left = claimed.retry_count < claimed.retry.max_retries
    assert completion.status is (S.RETRYING if left else S.DEAD)
    assert (completion.scheduled_at is not None) is left


@given(claims, st.integers(1, 5))
def test_job_that_kills_its_workers_is_poison(claimed: ClaimedJob, deaths_max: int) -> None:
    lost = WorkerLost(message="silence", evidence="its last words")
    completion = settled(claimed, lost, worker_deaths_max=deaths_max)
    assert completion.error is not None
    assert completion.error.traceback == "its last words"
    assert completion.suspect is (completion.status is S.RETRYING)
    if claimed.worker_deaths + 1 >= deaths_max:
        assert (completion.status, completion.error.kind) == (S.DEAD, "poison")
        assert completion.moves[-1].reason == "poison"
    else:
        assert completion.error.kind == "worker_lost"
        left = claimed.retry_count < claimed.retry.max_retries
        assert completion.status is (S.RETRYING if left else S.DEAD)


def test_third_death_is_poison_whatever_retries_are_left() -> None:
    claimed = a_claimed_job(worker_deaths=2, retry=RetryPolicy(max_retries=100))
    completion = settled(claimed, WorkerLost(message="silence"))
    assert completion.status is S.DEAD
    assert completion.error is not None
    assert completion.error.message == "silence; 3 workers died while running it"


def test_retry_follows_the_policy() -> None:
    completion = settled(a_claimed_job(retry_count=2), Failed(kind="Oops", message=""))
    assert completion.scheduled_at == ENDED_AT + 240 * SECOND
    jitter = RetryPolicy(kind=RetryKind.JITTER)
    completion = settled(a_claimed_job(retry=jitter), Failed(kind="Oops", message=""), unit_random=0.5)
    assert completion.scheduled_at == ENDED_AT + 75 * SECOND


def test_retry_after_overrides_the_policy_and_its_cap_but_not_its_number() -> None:
    outcome = Failed(kind="Oops", message="", retry_after=100 * HOUR)
    assert settled(a_claimed_job(), outcome).scheduled_at == ENDED_AT + 100 * HOUR
    assert settled(a_claimed_job(retry_count=3), outcome).status is S.DEAD


@pytest.mark.parametrize("outcome", [Snoozed(delay=HOUR), Released(reason="draining")])
def test_only_a_snooze_moves_the_job_in_time(outcome: Outcome) -> None:
    completion = settled(a_claimed_job(retry_count=3), outcome)
    assert completion.scheduled_at == (ENDED_AT + HOUR if isinstance(outcome, Snoozed) else None)
    assert completion.status is S.PENDING


@given(st.timedeltas())
def test_delays_of_any_length_stay_on_the_calendar(delay: timedelta) -> None:
    for outcome in (Snoozed(delay=delay), Failed(kind="Oops", message="", retry_after=delay)):
        scheduled_at = settled(a_claimed_job(), outcome).scheduled_at
        assert scheduled_at is not None
        assert ENDED_AT <= scheduled_at < LATEST
        if timedelta(0) <= delay < 1000 * 366 * 24 * HOUR and ENDED_AT + delay < LATEST:
            assert scheduled_at == ENDED_AT + delay


def test_latest_instant_is_the_last_before_the_limit() -> None:
    completion = settled(a_claimed_job(), Snoozed(delay=timedelta.max))
    assert completion.scheduled_at == LATEST - timedelta(microseconds=1)


def test_both_moves_of_a_failure_tell_its_kind() -> None:
    for outcome in OUTCOMES[1:3]:
        assert [move.reason for move in settled(a_claimed_job(), outcome).moves] == [
            None,
            None,
            "Oops",
            "Oops",
        ]


def test_timeout_says_how_long_it_was() -> None:
    error = settled(a_claimed_job(), TimedOut(timeout=timedelta(milliseconds=1500))).error
    assert error is not None
    assert (error.kind, error.message) == ("timeout", "timed out after 1.5 s")


def test_failure_keeps_what_the_handler_raised() -> None:
    error = settled(a_claimed_job(), OUTCOMES[1]).error
    assert error == AttemptError(
        attempt=1,
        at=ENDED_AT,
        worker_id=a_claimed_job().worker_id,
        kind="Oops",
        message="it failed",
        traceback="…",
    )


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Snoozed(delay=HOUR), "snoozed"),
        (Snoozed(delay=HOUR, reason="not yet"), "not yet"),
        (Released(reason="draining"), "draining"),
        (OUTCOMES[1], "Oops"),
        (TimedOut(timeout=HOUR), "timeout"),
        (WorkerLost(message="silence"), "worker_lost"),
    ],
)
def test_last_move_tells_the_reason(outcome: Outcome, reason: str) -> None:
    assert settled(a_claimed_job(), outcome).moves[-1].reason == reason


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_completed_record_agrees_with_the_completion(outcome: Outcome) -> None:
    job = a_job(S.RUNNING)
    completion = settled(as_claimed(job), outcome)
    after = completed(job, completion)
    assert after.lease is None
    for name in ("status", "attempt", "retry_count", "worker_deaths", "suspect", "result", "lease_token"):
        assert getattr(after, name) == getattr(completion, name)
    assert after.scheduled_at == (completion.scheduled_at or job.scheduled_at)
    assert after.history == completion.moves
    assert after.errors == ((completion.error,) if completion.error else ())
    assert after.error_message == (completion.error.message if completion.error else None)
    assert job.lease is not None
    whole = (job.lease.worker_id, job.lease.claimed_at, completion.started_at, completion.ended_at)
    told = (after.worker_id, after.claimed_at, after.started_at, after.completed_at)
    assert told == (whole if after.ended else (None, None, None, None))
    assert after.events()[-1].to_state is after.status


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_completion_does_not_fit_another_lease(outcome: Outcome) -> None:
    job = a_job(S.RUNNING)
    completion = settled(as_claimed(job), outcome)
    with pytest.raises(ValueError, match="is not held under lease"):
        completed(job, attrs.evolve(completion, lease_id=a_lease_id()))
    with pytest.raises(ValueError, match="is not held under lease"):
        completed(completed(job, completion), completion)


def test_completion_ends_the_lease_that_it_knew() -> None:
    scheduled, running = a_job(S.SCHEDULED), a_job(S.RUNNING)
    assert scheduled.lease is not None
    released = settled(as_claimed(scheduled), Released(reason="drained"))
    assert released.ends(scheduled.lease)
    assert not released.ends(None)
    assert not released.ends(running.lease)
    assert not released.ends(attrs.evolve(scheduled.lease, started_at=NOON)), "it has started since"
    assert settled(as_claimed(running), Released(reason="drained")).ends(running.lease)
    assert settled(as_claimed(scheduled), Succeeded(), started_at=NOON + SECOND).ends(scheduled.lease)


def test_oldest_errors_and_moves_go_first() -> None:
    event = JobEvent(at=NOON, from_state=None, to_state=S.PENDING, attempt=0)
    error = AttemptError(attempt=0, at=NOON, worker_id=None, kind="Old", message="")
    full: dict[str, Any] = {"history": (event,) * HISTORY_LIMIT, "errors": (error,) * ERRORS_LIMIT}
    job = a_job(S.RUNNING, **full)
    after = completed(job, settled(as_claimed(job), OUTCOMES[1]))
    assert (len(after.history), len(after.errors)) == (HISTORY_LIMIT, ERRORS_LIMIT)
    assert after.history[-1].to_state is S.RETRYING
    assert (after.errors[0].kind, after.errors[-1].kind) == ("Old", "Oops")


def test_token_of_the_completion_is_kept() -> None:
    job = a_job(S.RUNNING)
    completion = attrs.evolve(settled(as_claimed(job), Succeeded()), lease_token=LeaseToken(7))
    assert completed(job, completion).lease_token == 7


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_completion_is_of_its_claim(outcome: Outcome) -> None:
    started_at = NOON + 2 * SECOND
    claim = a_claimed_job(
        workflow_id=a_workflow_id(), type="t", queue="q", lease_token=LeaseToken(7), started_at=started_at
    )
    made = settled(claim, outcome, started_at=started_at, ended_at=ENDED_AT)
    assert (made.job_id, made.lease_id, made.lease_token) == (claim.job_id, claim.lease_id, 7)
    assert (made.workflow_id, made.type, made.queue) == (claim.workflow_id, "t", "q")
    assert (made.started_at, made.ended_at) == (started_at, ENDED_AT)
