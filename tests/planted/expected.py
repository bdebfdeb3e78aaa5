"""What the simulation says to each defect."""

from collections.abc import Mapping
from typing import Final

from schedora.domain.invariants import Invariant
from tests.simulation.invariants import Seen

SEEDS_MAX: Final = 100
"""In so many seeds it finds each."""
EXPECTED: Final[Mapping[str, frozenset[str]]] = {
    "fence_removed": frozenset(
        {
            Seen.ONE_COMPLETION_A_CLAIM,
            Seen.ACCEPTED_UNDER_ITS_LEASE,
            Invariant.NOTHING_UNDONE,
            Invariant.LAWFUL_MOVES,
        }
    ),
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
