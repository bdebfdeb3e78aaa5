"""Every scenario there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.scenarios.asking import Asking
from benchmarks.scenarios.backlog import Backlog
from benchmarks.scenarios.dependants import Dependants
from benchmarks.scenarios.drain import Drain
from benchmarks.scenarios.herd import Herd
from benchmarks.scenarios.http import Http
from benchmarks.scenarios.idle import Idle
from benchmarks.scenarios.listener import Listener
from benchmarks.scenarios.memory import Memory
from benchmarks.scenarios.observability import Observability
from benchmarks.scenarios.pickup import Pickup
from benchmarks.scenarios.saturation import Saturation
from benchmarks.scenarios.snapshot import Snapshot
from benchmarks.scenarios.submission import Submission
from benchmarks.systems.catalogue import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.scenarios.scenario import Scenario


SCALING = (1, 2, 4, 24)
HERD = (1, 4, 24)


def scenarios(
    *,
    workers: Sequence[int] = (1, 2),
    scaling: Sequence[int] = SCALING,
    herd: Sequence[int] = HERD,
    concurrency: int | None = None,
) -> dict[str, Scenario]:
    """Every scenario by name; what can be chosen for drains is said here."""
    every: list[Scenario] = [
        Submission(),
        Http(),
        Drain(workers=tuple(workers), concurrency=concurrency),
        Pickup(),
        Herd(workers=tuple(herd)),
        Saturation(),
        Backlog(),
        Snapshot(),
        Dependants(),
        Listener(),
        Observability(),
        Asking(),
        Drain(
            name="scaling",
            question="Jobs a second of more worker processes than the machine has cores",
            workers=tuple(scaling),
            concurrency=concurrency,
            roles=frozenset({Role.OURS, Role.LIMIT}),
        ),
        Memory(),
        Idle(),
    ]
    return {scenario.name: scenario for scenario in every}
