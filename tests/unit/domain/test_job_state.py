"""The one table of moves."""

from itertools import product

import pytest

from schedora.domain.errors import IllegalMove
from schedora.domain.job_state import ENDED, HELD, MOVES, PASSING, REQUEUABLE, WAITING, JobState, check_move

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


def test_table_can_not_be_changed() -> None:
    with pytest.raises(TypeError):
        MOVES[JobState.SUCCESS, JobState.PENDING] = "never"  # type: ignore[index]  # that is what is tried
