"""What it costs to release jobs that wait for others."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.draining import drain
from benchmarks.scenarios.metrics import DRAIN_METRICS
from benchmarks.scenarios.scenario import Case
from benchmarks.systems.catalogue import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.bench import Bench
    from benchmarks.scenarios.scenario import Round
    from benchmarks.systems.catalogue import System

INDEPENDENT = "no dependencies"
SHAPES = {
    "chains of 50": ("chain", 50),
    "fan-out, 1 to 999": ("fan-out", 1_000),
    "fan-in, 999 to 1": ("fan-in", 1_000),
}


class Dependants:
    name = "dependants"
    question = "Jobs a second that one worker runs of workflows, each job released by those before it"
    metrics = DRAIN_METRICS
    verbs = frozenset({"setup", "submit", "flow", "work"})
    roles = frozenset({Role.OURS, Role.LIMIT, Role.PEER})

    def cases(self, system: System) -> tuple[Case, ...]:  # noqa: ARG002 - the same for all
        return (Case(name=INDEPENDENT), *(Case(name=name, against=INDEPENDENT) for name in SHAPES))

    @contextmanager
    def prepared(self, bench: Bench, system: System, case: Case) -> Iterator[Round]:
        def measure() -> Mapping[str, float]:
            with bench.staged(system) as stage:
                if case.name == INDEPENDENT:
                    jobs = stage.driver.fill(bench.sizes.dependants)
                else:
                    shape, size = SHAPES[case.name]
                    count = max(bench.sizes.dependants // size, 1)
                    jobs = stage.driver.flow(shape, count=count, size=min(size, bench.sizes.dependants))
                return drain(stage, jobs=jobs, workers=1, seconds_max=bench.sizes.drain_seconds_max).figures()

        yield measure
