"""What was measured, round by round, and where: as JSON, and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import asdict, define, field, frozen
from benchmarks.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@frozen(kw_only=True)
class CaseResult:
    """What one system did in one case."""

    scenario: str
    case: str
    system: str
    against: str | None = None
    rounds: list[Mapping[str, float]] = field(factory=list)
    unable: str | None = None
    """Why the system can't take part."""
    broken: str | None = None
    """How it failed."""

    def figure(self, key: str) -> Figure | None:
        """The rounds summed up; None where nothing was measured."""
        values = [one[key] for one in self.rounds if key in one]
        return Figure.of(values) if values else None

    def ratio(self, other: CaseResult | None, key: str) -> Figure | None:
        """To what the other measured, each round by itself; None where there is nothing to compare."""
        if other is None or other is self:
            return None
        pairs = zip(self.rounds, other.rounds, strict=False)
        values = [one[key] / two[key] for one, two in pairs if key in one and two.get(key)]
        return Figure.of(values) if values else None


@define(kw_only=True)
class Results:
    """One run."""

    began_at: str
    machine: Mapping[str, Any]
    sizes: Mapping[str, float]
    systems: Mapping[str, Mapping[str, Any]]
    missing: dict[str, str] = field(factory=dict)
    """Systems that were asked for and are not there, with the reason."""
    cases: list[CaseResult] = field(factory=list)

    def of(self, scenario: str) -> list[CaseResult]:
        return [case for case in self.cases if case.scenario == scenario]

    def find(self, scenario: str, case: str | None, system: str) -> CaseResult | None:
        """None where it was not measured."""
        found = (one for one in self.of(scenario) if (one.case, one.system) == (case, system))
        return next(found, None)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
