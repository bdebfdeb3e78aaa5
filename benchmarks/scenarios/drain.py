"""How fast worker processes empty a queue."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import frozen
from benchmarks.draining import drain
from benchmarks.scenarios.metrics import DRAIN_METRICS
from benchmarks.scenarios.scenario import Case
from benchmarks.systems.catalogue import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.bench import Bench
    from benchmarks.scenarios.scenario import Round
    from benchmarks.systems.catalogue import System


@frozen(kw_only=True)
class Drain:
    """Stored jobs, after VACUUM, ANALYZE and a checkpoint."""

    name: str = "drain"
    question: str = "Jobs a second that worker processes run, of jobs stored before"
    workers: tuple[int, ...] = (1, 2)
    concurrency: int | None = None
    """Jobs at once in each worker; the system's default, or what its driver sets, when None."""
    roles: frozenset[Role] = frozenset(Role)

    metrics = DRAIN_METRICS
    verbs = frozenset({"setup", "submit", "work"})

    def cases(self, system: System) -> tuple[Case, ...]:  # noqa: ARG002 - the same for all
        return tuple(
            Case(
                name=f"{count} worker{'s' * (count > 1)}",
                against=f"{self.workers[0]} worker" if count > self.workers[0] == 1 else None,
            )
            for count in self.workers
        )

    @contextmanager
    def prepared(self, bench: Bench, system: System, case: Case) -> Iterator[Round]:
        workers = int(case.name.split()[0])
        jobs = bench.sizes.scaling if self.name == "scaling" else bench.sizes.drain

        def measure() -> Mapping[str, float]:
            with bench.staged(system) as stage:
                return drain(
                    stage,
                    jobs=stage.driver.fill(jobs),
                    workers=workers,
                    concurrency=self.concurrency,
                    seconds_max=bench.sizes.drain_seconds_max,
                ).figures()

        yield measure
