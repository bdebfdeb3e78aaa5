"""How fast one process submits jobs, each durable before it counts."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.scenarios.metrics import JOBS_PER_SECOND
from benchmarks.scenarios.scenario import Case
from benchmarks.systems.catalogue import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.bench import Bench
    from benchmarks.scenarios.scenario import Round
    from benchmarks.systems.catalogue import System

MODES = {"one by one": "one", "50 at once": "concurrent", "batches of 1,000": "batch"}


class Submission:
    name = "submit"
    question = "Jobs a second that one process submits"
    metrics = (JOBS_PER_SECOND,)
    verbs = frozenset({"setup", "submit"})
    roles = frozenset(Role)

    def cases(self, system: System) -> tuple[Case, ...]:  # noqa: ARG002 - the same for all
        return tuple(Case(name=name) for name in MODES)

    @contextmanager
    def prepared(self, bench: Bench, system: System, case: Case) -> Iterator[Round]:
        mode = MODES[case.name]
        count = {
            "one": bench.sizes.submit_one,
            "concurrent": bench.sizes.submit_concurrent,
            "batch": bench.sizes.submit_batch,
        }[mode]

        def measure() -> Mapping[str, float]:
            with bench.staged(system) as stage:
                submitted = stage.driver.submit(count, mode)
            return {"jobs_per_second": submitted.jobs / submitted.seconds}

        yield measure
