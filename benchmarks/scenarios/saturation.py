"""How often workers are woken while there is always something to do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import evolve
from benchmarks.scenarios.metrics import JOBS_PER_SECOND, PROCESSOR_MS_PER_JOB, WAKEUPS_PER_JOB
from benchmarks.scenarios.scenario import Case
from benchmarks.systems.catalogue import OUR_ROLES
from benchmarks.waking import idle_workers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.bench import Bench
    from benchmarks.scenarios.scenario import Round
    from benchmarks.systems.catalogue import System


class Saturation:
    name = "saturation"
    question = "Wake-ups that reach workers for each job, while 50 submissions at once never cease"
    metrics = (
        WAKEUPS_PER_JOB,
        evolve(JOBS_PER_SECOND, title="submitted, jobs/s"),
        PROCESSOR_MS_PER_JOB,
    )
    verbs = frozenset({"setup", "submit", "work"})
    roles = OUR_ROLES

    def __init__(self, workers: tuple[int, ...] = (4,)) -> None:
        self._workers = workers

    def cases(self, system: System) -> tuple[Case, ...]:  # noqa: ARG002 - the same for all
        return tuple(Case(name=f"{count} worker{'s' * (count > 1)}") for count in self._workers)

    @contextmanager
    def prepared(self, bench: Bench, system: System, case: Case) -> Iterator[Round]:
        def measure() -> Mapping[str, float]:
            with (
                bench.staged(system) as stage,
                idle_workers(bench, stage, int(case.name.split()[0])) as idlers,
            ):
                before = idlers.processor_seconds()
                submitted = stage.driver.submit(bench.sizes.saturation, "concurrent")
                idlers.done(submitted.stored)
                spent = idlers.processor_seconds() - before
                figures = {
                    JOBS_PER_SECOND.key: submitted.jobs / submitted.seconds,
                    PROCESSOR_MS_PER_JOB.key: 1_000 * spent / submitted.stored,
                }
                if system.role in OUR_ROLES:
                    figures[WAKEUPS_PER_JOB.key] = idlers.wakeups() / submitted.stored
            return figures

        yield measure
