"""The simulation finds each planted defect, by the invariant that it breaks: else that it finds none would mean nothing."""

import logging
from collections.abc import Mapping
from typing import Final

import pytest

from schedora.domain.invariants import Invariant
from tests.planted.defects import DEFECTS
from tests.simulation.check import replay_command
from tests.simulation.invariants import Seen
from tests.simulation.world import World

SEEDS_MAX: Final = 100
EXPECTED: Final[Mapping[str, frozenset[str]]] = {
    "fence_removed": frozenset({Seen.ONE_COMPLETION_A_CLAIM, Invariant.NOTHING_UNDONE}),
    "heartbeat_ignored": frozenset({Seen.LOST_WHEN_SILENT}),
    "hints_relied_on": frozenset({Seen.CLAIMED_IN_TIME}),
    "release_forgotten": frozenset({Invariant.WAITS_FOR_COUNTED}),
    "release_doubled": frozenset({Invariant.WAITS_FOR_COUNTED, Invariant.UPSTREAM_FIRST}),
    "release_outside": frozenset({Invariant.WORKFLOW_COUNTS, Invariant.WAITS_FOR_COUNTED}),
    "retries_uncounted": frozenset({Invariant.RETRIES_COUNTED}),
    "hand_back_burns_attempt": frozenset({Invariant.ATTEMPTS_COUNTED}),
    "slot_leaked": frozenset({Seen.SLOTS_FREED, Seen.CLAIMED_IN_TIME}),
    "cancel_overwritten": frozenset({Invariant.LAWFUL_MOVES}),
}
"""Which of them is broken first is up to the seed."""


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("schedora").setLevel(logging.CRITICAL)


def test_every_defect_is_expected_to_be_found() -> None:
    assert EXPECTED.keys() == DEFECTS.keys()


@pytest.mark.parametrize("name", DEFECTS)
def test_planted_defect_is_found(name: str) -> None:
    with DEFECTS[name].planted():
        for seed in range(SEEDS_MAX):
            broken = World(seed).run().broken
            if broken is not None:
                assert broken.invariant in EXPECTED[name], f"{broken}\n{replay_command(seed, name)}"
                return
    pytest.fail(f"{name} was not found in {SEEDS_MAX} seeds")


def test_nothing_of_a_defect_is_left() -> None:
    for defect in DEFECTS.values():
        with defect.planted():
            pass
    assert World(0).run().broken is None
