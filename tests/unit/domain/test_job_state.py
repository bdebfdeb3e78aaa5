"""The one table of moves."""

from collections.abc import Callable
from itertools import pairwise, product

import attrs
import pytest

from schedora.domain.completion import completed
from schedora.domain.errors import IllegalMove
from schedora.domain.job import Job
from schedora.domain.job_state import ENDED, HELD, MOVES, PASSING, REQUEUABLE, WAITING, JobState, check_move
from schedora.domain.outcome import Failed, Outcome, Released, Snoozed, Succeeded, TimedOut, WorkerLost
from schedora.domain.retry import RetryPolicy
from tests.builders import HOUR, NOON, a_job, a_request, as_claimed, settled

CONTRACT = """
PENDING -> SCHEDULED CANCELED
SCHEDULED -> RUNNING PENDING CANCELED
RUNNING -> SUCCESS FAILED PENDING CANCELED
FAILED -> RETRYING DEAD
RETRYING -> SCHEDULED CANCELED
DEAD -> PENDING
CANCELED -> PENDING
SUCCESS ->
"""


def contract_moves() -> set[tuple[JobState, JobState]]:
    rows = [line.split(" ->") for line in CONTRACT.strip().splitlines()]
    return {(JobState(start), JobState(end)) for start, ends in rows for end in ends.split()}


def test_table_is_the_contract() -> None:
    assert set(MOVES) == contract_moves()


@pytest.mark.parametrize(("start", "end"), list(product(JobState, JobState)))
def test_what_is_not_in_the_table_is_refused(start: JobState, end: JobState) -> None:
    if (start, end) in contract_moves():
        check_move(start, end)
        return
    with pytest.raises(IllegalMove, match=f"from {start} to {end}"):
        check_move(start, end)


def test_each_move_has_a_reason() -> None:
    assert all(MOVES.values())


def test_each_state_is_of_one_kind() -> None:
    kinds = [WAITING, HELD, ENDED, PASSING]
    assert [sum(state in kind for kind in kinds) for state in JobState] == [1] * len(JobState)


def test_success_is_final_and_every_other_ending_can_be_requeued() -> None:
    assert ENDED - {JobState.SUCCESS} == REQUEUABLE
    assert {end for start, end in MOVES if start in REQUEUABLE} == {JobState.PENDING}


def test_every_state_can_be_reached_and_left_or_ended() -> None:
    reached = {JobState.PENDING}
    while more := {end for start, end in MOVES if start in reached} - reached:
        reached |= more
    assert reached == set(JobState)
    assert {state for state in JobState if all(start is not state for start, _ in MOVES)} == {
        JobState.SUCCESS
    }


WHAT_COMES_OF_IT = """
              PENDING    SCHEDULED  RUNNING    RETRYING   SUCCESS    DEAD       CANCELED
cancel        CANCELED   CANCELED   CANCELED   CANCELED   -          -          -
requeue       -          -          -          -          -          PENDING    PENDING
succeed       -          -          SUCCESS    -          -          -          -
fail          -          -          RETRYING   -          -          -          -
fail-last     -          -          DEAD       -          -          -          -
give-up       -          -          DEAD       -          -          -          -
time-out      -          -          RETRYING   -          -          -          -
snooze        -          PENDING    PENDING    -          -          -          -
hand-back     -          PENDING    PENDING    -          -          -          -
lose-worker   -          PENDING    RETRYING   -          -          -          -
"""
"""The state that each command makes of each; ``-`` where it is refused."""


def _ends_with(outcome: Outcome, **request: object) -> Callable[[Job], Job]:
    def command(job: Job) -> Job:
        job = attrs.evolve(job, request=a_request(**request))
        if job.lease is None:
            raise IllegalMove(job.status, "an end of a claim that nobody has")
        return completed(job, settled(as_claimed(job), outcome))

    return command


COMMANDS: dict[str, Callable[[Job], Job]] = {
    "cancel": lambda job: job.canceled(now=NOON + HOUR, reason="unwanted"),
    "requeue": lambda job: job.requeued(now=NOON + HOUR, reason="again"),
    "succeed": _ends_with(Succeeded()),
    "fail": _ends_with(Failed(kind="Oops", message="again")),
    "fail-last": _ends_with(Failed(kind="Oops", message="again"), retry=RetryPolicy(max_retries=0)),
    "give-up": _ends_with(Failed(kind="Oops", message="hopeless", retryable=False)),
    "time-out": _ends_with(TimedOut(timeout=HOUR)),
    "snooze": _ends_with(Snoozed(delay=HOUR)),
    "hand-back": _ends_with(Released(reason="draining")),
    "lose-worker": _ends_with(WorkerLost(message="silence")),
}


def cells() -> list[tuple[str, JobState, JobState | None]]:
    head, *rows = WHAT_COMES_OF_IT.strip().splitlines()
    return [
        (name, JobState(state), None if end == "-" else JobState(end))
        for name, *ends in map(str.split, rows)
        for state, end in zip(head.split(), ends, strict=True)
    ]


def test_table_of_commands_is_whole() -> None:
    named = {(name, state) for name, state, _ in cells()}
    assert named == set(product(COMMANDS, set(JobState) - PASSING))


@pytest.mark.parametrize(("name", "state", "end"), cells())
def test_command_in_state(name: str, state: JobState, end: JobState | None) -> None:
    job = a_job(state)
    if end is None:
        with pytest.raises(IllegalMove):
            COMMANDS[name](job)
        return
    after = COMMANDS[name](job)
    assert after.status is end
    assert (after.lease, after.ended) == (None, end in ENDED)
    events = after.events()
    assert all((event.from_state, event.to_state) in MOVES for event in events[1:])
    assert all(before.to_state is after.from_state for before, after in pairwise(events))
    assert (events[0].to_state, events[-1].to_state) == (JobState.PENDING, end)


def test_table_can_not_be_changed() -> None:
    with pytest.raises(TypeError):
        MOVES[JobState.SUCCESS, JobState.PENDING] = "never"  # type: ignore[index]  # that is what is tried
