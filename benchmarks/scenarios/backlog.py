"""Whether what is stored besides slows the drain."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.draining import drain
from benchmarks.drivers import Broken
from benchmarks.scenarios.metrics import DRAIN_METRICS
from benchmarks.scenarios.scenario import Case
from benchmarks.systems.catalogue import Role, Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.bench import Bench, Stage
    from benchmarks.scenarios.scenario import Round
    from benchmarks.systems.catalogue import System

NOTHING = "nothing"
SMALL_DELAYED = "200,000 delayed"
LARGE_DELAYED = "1,000,000 delayed"
LARGE_LOWER = "1,000,000 of lower priority"
LARGE_FINISHED = "1,000,000 finished"
DELAY_SECONDS = 86_400.0


class Backlog:
    name = "backlog"
    question = "Jobs a second that one worker runs, with other jobs stored beside (fewer than said on a smaller scale)"
    metrics = DRAIN_METRICS
    verbs = frozenset({"setup", "submit", "work"})
    roles = frozenset({Role.OURS, Role.LIMIT, Role.PEER})

    def cases(self, system: System) -> tuple[Case, ...]:
        if system.store is not Store.POSTGRESQL:
            return ()
        # Peers take up to minutes to store the smaller number.
        beside = [SMALL_DELAYED]
        if system.role is not Role.PEER:
            beside += [LARGE_DELAYED, LARGE_LOWER, LARGE_FINISHED]
        return (Case(name=NOTHING), *(Case(name=name, against=NOTHING) for name in beside))

    @contextmanager
    def prepared(self, bench: Bench, system: System, case: Case) -> Iterator[Round]:
        with bench.staged(system) as stage:
            _store(bench, stage, case.name)
            _leave_nothing_to_vacuum(stage)

            def measure() -> Mapping[str, float]:
                drained = drain(
                    stage,
                    jobs=stage.driver.fill(bench.sizes.backlog_drain),
                    workers=1,
                    seconds_max=bench.sizes.drain_seconds_max,
                    others_due=case.name == LARGE_LOWER,
                )
                _leave_nothing_to_vacuum(stage)
                return drained.figures()

            yield measure


def _leave_nothing_to_vacuum(stage: Stage) -> None:
    """Or autovacuum finds it while the next case is measured: all of their databases are on one server."""
    if stage.database is not None:
        stage.database.settle()


def _store(bench: Bench, stage: Stage, what: str) -> None:
    small, large = bench.sizes.backlog_small, bench.sizes.backlog_large
    if what == SMALL_DELAYED:
        stage.driver.fill(small, delay_seconds=DELAY_SECONDS)
    elif what == LARGE_DELAYED:
        stage.driver.fill(large, delay_seconds=DELAY_SECONDS)
    elif what == LARGE_LOWER:
        stage.driver.fill(large, priority="lower")
    elif what == LARGE_FINISHED:
        jobs = stage.driver.fill(large)
        drained = drain(stage, jobs=jobs, workers=2, seconds_max=bench.sizes.long_seconds_max)
        if drained.jobs < jobs:
            raise Broken(f"{drained.jobs} of {jobs} jobs were done in {drained.seconds:.0f} s")
