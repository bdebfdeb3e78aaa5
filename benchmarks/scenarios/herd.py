"""What a job costs where many workers wait for it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.figures import percentile
from benchmarks.scenarios.metrics import (
    PICKUP_P50,
    PICKUP_P99,
    PROCESSOR_MS_PER_JOB,
    WAKEUPS_PER_JOB,
    milliseconds,
)
from benchmarks.scenarios.scenario import Case
from benchmarks.systems.catalogue import OUR_ROLES
from benchmarks.waking import idle_workers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.bench import Bench
    from benchmarks.scenarios.scenario import Round
    from benchmarks.systems.catalogue import System


class Herd:
    name = "herd"
    question = (
        "Processor milliseconds that workers, database and Redis spend on a job, at 50 jobs a second, while all workers"
        " are idle"
    )
    metrics = (PROCESSOR_MS_PER_JOB, WAKEUPS_PER_JOB, PICKUP_P50, PICKUP_P99)
    verbs = frozenset({"setup", "trickle", "work"})
    roles = OUR_ROLES

    def __init__(self, workers: tuple[int, ...] = (1, 4, 24)) -> None:
        self._workers = workers

    def cases(self, system: System) -> tuple[Case, ...]:  # noqa: ARG002 - the same for all
        return tuple(
            Case(
                name=f"{count} worker{'s' * (count > 1)}",
                against=f"{self._workers[0]} worker" if count > self._workers[0] == 1 else None,
            )
            for count in self._workers
        )

    @contextmanager
    def prepared(self, bench: Bench, system: System, case: Case) -> Iterator[Round]:
        def measure() -> Mapping[str, float]:
            with (
                bench.staged(system) as stage,
                idle_workers(bench, stage, int(case.name.split()[0])) as idlers,
            ):
                before = idlers.processor_seconds()
                stored = stage.driver.trickle(rate=bench.sizes.pickup_rate, count=bench.sizes.pickup).stored
                idlers.done(stored)
                spent = idlers.processor_seconds() - before
                waited = milliseconds(idlers.readings.latencies())
                figures = {
                    PROCESSOR_MS_PER_JOB.key: 1_000 * spent / stored,
                    PICKUP_P50.key: percentile(waited, 0.5),
                    PICKUP_P99.key: percentile(waited, 0.99),
                }
                if system.role in OUR_ROLES:
                    figures[WAKEUPS_PER_JOB.key] = idlers.wakeups() / stored
            return figures

        yield measure
