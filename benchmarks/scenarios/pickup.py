"""How long a job waits for an idle worker."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.drivers import Broken
from benchmarks.figures import percentile
from benchmarks.scenarios.metrics import PICKUP_P50, PICKUP_P99, milliseconds
from benchmarks.scenarios.scenario import Case, Metric
from benchmarks.systems.catalogue import Role
from benchmarks.systems.counters import Readings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.bench import Bench
    from benchmarks.scenarios.scenario import Round
    from benchmarks.systems.catalogue import System

LAST_SECONDS_MAX = 20.0


class Pickup:
    name = "pickup"
    question = "Milliseconds from the submit call to the handler's start, at 50 jobs a second and one worker"
    metrics = (
        PICKUP_P50,
        PICKUP_P99,
        Metric(key="p999_ms", title="p99.9, ms", digits=1, more_is_better=False),
    )
    verbs = frozenset({"setup", "trickle", "work"})
    roles = frozenset(Role)

    def cases(self, system: System) -> tuple[Case, ...]:  # noqa: ARG002 - the same for all
        return (Case(name="steady"),)

    @contextmanager
    def prepared(self, bench: Bench, system: System, case: Case) -> Iterator[Round]:  # noqa: ARG002 - there is one
        def measure() -> Mapping[str, float]:
            with bench.staged(system) as stage:
                counters = stage.directory / "counters"
                readings = Readings(counters)
                with stage.driver.working(counters, 0) as worker:
                    worker.ready()
                    stored = stage.driver.trickle(
                        rate=bench.sizes.pickup_rate, count=bench.sizes.pickup
                    ).stored
                    deadline = time.monotonic() + LAST_SECONDS_MAX
                    while readings.total() < stored:
                        worker.process.must_run()
                        if time.monotonic() > deadline:
                            raise Broken(f"{readings.total()} of {stored} jobs were picked up")
                        time.sleep(0.01)
            waited = milliseconds(readings.latencies())
            return {
                "p50_ms": percentile(waited, 0.5),
                "p99_ms": percentile(waited, 0.99),
                "p999_ms": percentile(waited, 0.999),
            }

        yield measure
