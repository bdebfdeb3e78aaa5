"""What was measured, round by round, and where: as JSON, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import asdict, define, field, frozen
from benchmarks.figures import Figure
from cattrs import BaseValidationError, structure


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


@frozen(kw_only=True)
class Run:
    """When one scenario was measured, and how much of everything there was."""

    began_at: str
    rounds: int
    scale: str
    sizes: Mapping[str, float]


@define(kw_only=True)
class Results:
    """What one run measured, or several of which each added to the one before."""

    machine: Mapping[str, Any]
    systems: dict[str, Mapping[str, Any]] = field(factory=dict)
    missing: dict[str, str] = field(factory=dict)
    """Systems that were asked for and are not there, with the reason."""
    cases: list[CaseResult] = field(factory=list)
    runs: dict[str, Run] = field(factory=dict)
    """By scenario."""

    def add(self, other: Results) -> None:
        """Take over the scenarios of another run that are not in this one."""
        self.systems = {**other.systems, **self.systems}
        self.cases = [*self.cases, *(case for case in other.cases if case.scenario not in self.runs)]
        self.runs = {**other.runs, **self.runs}

    def of(self, scenario: str) -> list[CaseResult]:
        return [case for case in self.cases if case.scenario == scenario]

    def find(self, scenario: str, case: str | None, system: str) -> CaseResult | None:
        """None where it was not measured."""
        found = (one for one in self.of(scenario) if (one.case, one.system) == (case, system))
        return next(found, None)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Results:
        """Raises OSError, and ValueError for what is not the results of a run."""
        try:
            return structure(json.loads(path.read_text(encoding="utf-8")), cls)
        except BaseValidationError as error:
            raise ValueError(f"{path} has no results of this version: {error}") from error
