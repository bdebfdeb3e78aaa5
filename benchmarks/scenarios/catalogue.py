"""Every scenario there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.scenarios.drain import Drain
from benchmarks.scenarios.submission import Submission

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.scenarios.scenario import Scenario


def scenarios(*, workers: Sequence[int], concurrency: int | None) -> dict[str, Scenario]:
    """Every scenario by name; what can be chosen for drains is said here."""
    every: list[Scenario] = [
        Submission(),
        Drain(workers=tuple(workers), concurrency=concurrency),
    ]
    return {scenario.name: scenario for scenario in every}
