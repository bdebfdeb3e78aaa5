"""How fast jobs are submitted over HTTP, beside a route that validates the same and does nothing."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import frozen
from benchmarks import processors
from benchmarks.drivers import Broken, Process
from benchmarks.scenarios.metrics import JOBS_PER_SECOND
from benchmarks.scenarios.scenario import Case
from benchmarks.systems.catalogue import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.bench import Bench, Stage
    from benchmarks.scenarios.scenario import Round
    from benchmarks.systems.catalogue import System

LOAD_SECONDS_MAX = 120
# By case: connections, and jobs a request.
LOADS = {
    "one by one, 1 connection": (1, 1),
    "one by one, 50 connections": (50, 1),
    "batches of 1,000, 4 connections": (4, 1_000),
}


class Http:
    name = "http"
    question = "Jobs a second that one API process takes, each durable before it is answered"
    metrics = (JOBS_PER_SECOND,)
    verbs = frozenset({"setup", "serve"})
    roles = frozenset({Role.OURS, Role.LIMIT, Role.PEER})

    def cases(self, system: System) -> tuple[Case, ...]:  # noqa: ARG002 - the same for all
        return tuple(Case(name=name) for name in LOADS)

    @contextmanager
    def prepared(self, bench: Bench, system: System, case: Case) -> Iterator[Round]:
        connections, batch = LOADS[case.name]
        count = bench.sizes.http_one if batch == 1 else bench.sizes.http_batch

        def measure() -> Mapping[str, float]:
            with bench.staged(system) as stage:
                taken = posted(stage, count, connections=connections, batch=batch)
                return {"jobs_per_second": taken.jobs_per_second}

        yield measure


@frozen(kw_only=True)
class Posted:
    """What an API took."""

    jobs: int
    seconds: float
    processor_seconds: float
    """Of the API."""

    @property
    def jobs_per_second(self) -> float:
        return self.jobs / self.seconds


def posted(stage: Stage, jobs: int, *, connections: int, batch: int) -> Posted:
    """Post jobs to an API of their own. Raises Broken."""
    with stage.driver.running("serve", name="serve") as server:
        url = server.line("listening", seconds_max=60)
        before = processors.of_process(server.running.pid)
        load = [sys.executable, "-m", "benchmarks.load", url, str(jobs), str(connections), str(batch)]
        with Process.started(load, stage.directory, "load") as process:
            if process.wait(LOAD_SECONDS_MAX):
                raise Broken(process.complaint())
            said = json.loads(process.said())
        spent = processors.of_process(server.running.pid) - before
    return Posted(jobs=said["jobs"], seconds=said["seconds"], processor_seconds=spent)
