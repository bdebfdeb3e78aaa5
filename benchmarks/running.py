"""Runs scenarios: all systems in turn, round after round, so that drift of the machine hits them alike."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import zip_longest
from typing import TYPE_CHECKING

from attrs import evolve
from benchmarks.drivers import Broken, Unable
from benchmarks.results import CaseResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.bench import Bench
    from benchmarks.scenarios.scenario import Case, Round, Scenario
    from benchmarks.systems.catalogue import System

    Tell = Callable[[str], None]


def run(
    bench: Bench, scenario: Scenario, systems: Sequence[System], *, rounds: int, tell: Tell
) -> list[CaseResult]:
    """Measure every case of every system that knows how; one that fails is left out from then on, and said so."""
    results: list[CaseResult] = []
    with ExitStack() as stack:
        ready: dict[int, Round] = {}
        for system, case in _in_turn(scenario, systems):
            result = CaseResult(
                scenario=scenario.name, case=case.name, system=system.name, against=case.against
            )
            try:
                ready[len(results)] = stack.enter_context(scenario.prepared(bench, system, case))
            except (Unable, Broken, TimeoutError) as error:
                result = _failed(result, error)
                tell(_line(scenario, result, 0))
            results.append(result)
        for number in range(1, rounds + 1):
            for index in list(ready):
                result = results[index]
                try:
                    result.rounds.append(ready[index]())
                except (Unable, Broken, TimeoutError) as error:
                    results[index] = result = _failed(result, error)
                    del ready[index]
                tell(_line(scenario, result, number))
    return results


def _in_turn(scenario: Scenario, systems: Sequence[System]) -> list[tuple[System, Case]]:
    """All systems that know how in the first of their cases, then in the second, and so on."""
    able = [system for system in systems if scenario.verbs <= system.verbs]
    rows = zip_longest(*([(system, case) for case in scenario.cases(system)] for system in able))
    return [pair for row in rows for pair in row if pair is not None]


def _failed(result: CaseResult, error: Exception) -> CaseResult:
    if isinstance(error, Unable):
        return evolve(result, unable=str(error))
    return evolve(result, broken=str(error))


def _line(scenario: Scenario, result: CaseResult, number: int) -> str:
    place = f"{result.scenario}, {result.case}, {result.system}, round {number}"
    if result.unable is not None:
        return f"{place}: can't: {result.unable}"
    if result.broken is not None:
        return f"{place}: failed: {result.broken}"
    told = [
        f"{result.rounds[-1][metric.key]:,.{metric.digits}f} {metric.title}"
        for metric in scenario.metrics
        if metric.key in result.rounds[-1]
    ]
    return f"{place}: {', '.join(told)}"
