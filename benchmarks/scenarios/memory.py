"""Whether a worker's memory stays flat."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.draining import drain
from benchmarks.drivers import Broken
from benchmarks.scenarios.metrics import JOBS_PER_SECOND
from benchmarks.scenarios.scenario import Case, Metric
from benchmarks.systems.catalogue import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.bench import Bench
    from benchmarks.scenarios.scenario import Round
    from benchmarks.systems.catalogue import System

PARTS = 10


class Memory:
    name = "memory"
    question = "Resident megabytes of one worker on its way through 1,000,000 jobs (fewer on a smaller scale)"
    metrics = (
        Metric(key="last_megabytes", title="at the end", more_is_better=False),
        Metric(key="first_megabytes", title="after a tenth", more_is_better=False),
        Metric(key="most_megabytes", title="the most", more_is_better=False),
        JOBS_PER_SECOND,
    )
    verbs = frozenset({"setup", "submit", "work"})
    roles = frozenset({Role.OURS, Role.LIMIT})

    def cases(self, system: System) -> tuple[Case, ...]:  # noqa: ARG002 - the same for all
        return (Case(name="1 worker"),)

    @contextmanager
    def prepared(self, bench: Bench, system: System, case: Case) -> Iterator[Round]:  # noqa: ARG002 - there is one
        def measure() -> Mapping[str, float]:
            with bench.staged(system) as stage:
                jobs = stage.driver.fill(bench.sizes.memory)
                drained = drain(
                    stage, jobs=jobs, workers=1, parts=PARTS, seconds_max=bench.sizes.long_seconds_max
                )
            if drained.jobs < jobs:
                raise Broken(f"{drained.jobs} of {jobs} jobs were done in {drained.seconds:.0f} s")
            return {
                "first_megabytes": drained.worker_megabytes[0],
                "last_megabytes": drained.worker_megabytes[-1],
                "most_megabytes": max(drained.worker_megabytes),
                "jobs_per_second": drained.jobs_per_second,
            }

        yield measure
