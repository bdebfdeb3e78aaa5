"""What the simulation and the model check say to each defect."""

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from schedora_torture.invariants import Invariant
from tests.model.invariants import Seen as SeenByModel
from tests.simulation.invariants import Seen

SEEDS_MAX: Final = 100
"""In so many seeds the simulation finds each."""
STATES_MAX: Final = 2_000
"""In so many states the model check finds each that it sees."""
EXPECTED: Final[Mapping[str, frozenset[str]]] = {
    "fence_removed": frozenset(
        {
            Seen.ONE_COMPLETION_A_CLAIM,
            Seen.ACCEPTED_UNDER_ITS_LEASE,
            Invariant.NOTHING_UNDONE,
            Invariant.LAWFUL_MOVES,
            Invariant.CHAINED_MOVES,
            Invariant.TOKEN_COUNTS_CLAIMS,
            Invariant.ATTEMPTS_COUNTED,
        }
    ),
    "heartbeat_ignored": frozenset({Seen.LOST_WHEN_SILENT}),
    "hints_relied_on": frozenset({Seen.CLAIMED_IN_TIME}),
    "release_forgotten": frozenset({Invariant.WAITS_FOR_COUNTED}),
    "release_doubled": frozenset({Invariant.WAITS_FOR_COUNTED, Invariant.UPSTREAM_FIRST}),
    "release_outside": frozenset({Invariant.WORKFLOW_COUNTS, Invariant.WAITS_FOR_COUNTED}),
    "retries_uncounted": frozenset({Invariant.RETRIES_COUNTED}),
    "release_burns_attempt": frozenset({Invariant.ATTEMPTS_COUNTED}),
    "slot_leaked": frozenset({Seen.SLOTS_FREED, Seen.CLAIMED_IN_TIME}),
    "cancel_overwritten": frozenset({Invariant.LAWFUL_MOVES}),
}
"""Which of them the simulation finds broken first is up to the seed."""


@frozen
class Sought:
    """Where the model check looks for a defect, and what it finds broken there first."""

    situation: str
    invariant: str


_STEPS, _POISON, _JOIN = (
    "two steps, one worker",
    "one job that is poison, one worker",
    "two jobs and one behind both, no faults",
)
MODEL: Final[Mapping[str, Sought]] = {
    "fence_removed": Sought(_STEPS, SeenByModel.ACCEPTED_UNDER_ITS_LEASE),
    "heartbeat_ignored": Sought(_STEPS, SeenByModel.LOST_WHEN_SILENT),
    "release_forgotten": Sought(_STEPS, Invariant.WAITS_FOR_COUNTED),
    "release_doubled": Sought(_JOIN, Invariant.WAITS_FOR_COUNTED),
    "release_outside": Sought(_STEPS, Invariant.WORKFLOW_COUNTS),
    "retries_uncounted": Sought(_POISON, Invariant.RETRIES_COUNTED),
    "release_burns_attempt": Sought(_STEPS, Invariant.ATTEMPTS_COUNTED),
    "cancel_overwritten": Sought(_STEPS, SeenByModel.ACCEPTED_UNDER_ITS_LEASE),
}
OUT_OF_SIGHT: Final[Mapping[str, str]] = {
    "hints_relied_on": "its workers look for jobs at any moment",
    "slot_leaked": "its workers have one hand each, and no slots",
}
"""Why the model check does not look for it."""
