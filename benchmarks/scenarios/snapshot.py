"""Whether the drain keeps its pace while another session holds a snapshot open."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.draining import drain
from benchmarks.scenarios.metrics import DRAIN_METRICS
from benchmarks.scenarios.scenario import Case, Metric
from benchmarks.systems.catalogue import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.bench import Bench
    from benchmarks.scenarios.scenario import Round
    from benchmarks.systems.catalogue import System

PARTS = 6
HELD, NOT_HELD = "snapshot held", "no snapshot"


class Snapshot:
    name = "snapshot"
    question = (
        "Jobs a second that one worker runs of 300,000 (fewer on a smaller scale), while a session is idle in"
        " a transaction that began before"
    )
    metrics = (
        *DRAIN_METRICS,
        *(Metric(key=f"part_{number}", title=f"sixth {number}, jobs/s") for number in range(1, PARTS + 1)),
        Metric(key="last_to_first", title="last to first", digits=2),
    )
    verbs = frozenset({"setup", "submit", "work"})
    # Few peers drain as much in the time that there is; those that do can be named.
    roles = frozenset({Role.OURS, Role.LIMIT})

    def cases(self, system: System) -> tuple[Case, ...]:  # noqa: ARG002 - the same for all
        return (Case(name=NOT_HELD), Case(name=HELD, against=NOT_HELD))

    @contextmanager
    def prepared(self, bench: Bench, system: System, case: Case) -> Iterator[Round]:
        def measure() -> Mapping[str, float]:
            with bench.staged(system) as stage:
                drained = drain(
                    stage,
                    jobs=stage.driver.fill(bench.sizes.snapshot),
                    workers=1,
                    parts=PARTS,
                    seconds_max=bench.sizes.long_seconds_max,
                    snapshot_held=case.name == HELD,
                )
            by_part = drained.jobs_per_second_by_part()
            figures = drained.figures()
            figures |= {f"part_{number}": speed for number, speed in enumerate(by_part, start=1)}
            if len(by_part) == PARTS:
                figures["last_to_first"] = by_part[-1] / by_part[0]
            return figures

        yield measure
