"""Of the planted defects, those that can be seen where one transaction follows another are found, each by what it breaks."""

import pytest

from tests.model import liveness
from tests.model.search import Broken, explore
from tests.model.situations import SITUATIONS
from tests.planted.defects import DEFECTS

STEPS, POISON, JOIN = (
    "two steps, one worker",
    "one job that is poison, one worker",
    "two jobs and one behind both, no faults",
)
FOUND = {
    "fence_removed": (STEPS, "was accepted, and its lease was gone"),
    "heartbeat_ignored": (STEPS, "was declared lost, and was heard all the time"),
    "release_forgotten": (STEPS, "waits_for_counted"),
    "release_doubled": (JOIN, "waits_for_counted"),
    "release_outside": (STEPS, "waits_for_counted"),
    "retries_uncounted": (POISON, "retries_counted"),
    "hand_back_burns_attempt": (STEPS, "attempts_counted"),
    "cancel_overwritten": (STEPS, "was accepted, and its lease was gone"),
}
"""In which situation, and by what."""
OUT_OF_SIGHT = {"hints_relied_on", "slot_leaked"}
"""What is within a worker: here it looks for jobs at any moment, and has one hand."""


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", FOUND)
def test_a_planted_defect_is_found(name: str) -> None:
    situation, told = FOUND[name]
    with DEFECTS[name].planted(), pytest.raises(Broken, match=told):
        liveness.check(explore(SITUATIONS[situation]))


def test_every_planted_defect_is_found_or_out_of_sight() -> None:
    assert {*FOUND} | OUT_OF_SIGHT == set(DEFECTS)
