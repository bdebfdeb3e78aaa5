"""What records tell is asked at each commit, not only in the end: a state that passes can be wrong as well."""

import attrs

from schedora.domain.invariants import Invariant
from schedora.domain.job_state import JobState
from tests.builders import a_job
from tests.simulation.world import World


def test_a_record_that_is_wrong_for_a_while_is_told() -> None:
    witness = World(0).witness
    running = a_job(JobState.RUNNING)
    witness.changed(running, attrs.evolve(running, lease=None))
    assert witness.broken is not None
    assert witness.broken.invariant == Invariant.LEASE_WHILE_HELD
