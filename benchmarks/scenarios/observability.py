"""What it costs to be seen: traces, kept logs, their export."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from benchmarks.collector import collecting
from benchmarks.draining import drain
from benchmarks.scenarios.http import LOADS, posted
from benchmarks.scenarios.metrics import JOBS_PER_SECOND
from benchmarks.scenarios.scenario import Case, Metric
from benchmarks.systems.catalogue import OUR_ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.bench import Bench, Stage
    from benchmarks.draining import Drained
    from benchmarks.scenarios.http import Posted
    from benchmarks.scenarios.scenario import Round
    from benchmarks.systems.catalogue import System

OFF = {"OTEL_TRACES_SAMPLER": "always_off", "JOB_LOG_LEVEL": "OFF"}
ALL_OFF, ON, EXPORTED = "all off", "on, as by default", "on and exported"
DRAIN = "drain, 1 worker"
STEADY = 6
"""So many times as much as elsewhere: a process that has just started, and one that ends, tell nothing of what export costs."""
POSTS = tuple(f"HTTP {name}" for name, (_, batch) in LOADS.items() if batch == 1)


class Observability:
    name = "observability"
    question = (
        "Jobs a second, and processor time of the worker or the API, with traces and the logs of jobs off, on, and"
        " exported to a collector on the same machine"
    )
    metrics = (
        JOBS_PER_SECOND,
        Metric(key="processor_us_per_job", title="processor µs a job", digits=1, more_is_better=False),
        Metric(key="exported_bytes_per_job", title="bytes exported a job", more_is_better=False),
    )
    verbs = frozenset({"setup", "submit", "work", "serve"})
    roles = OUR_ROLES

    def cases(self, system: System) -> tuple[Case, ...]:  # noqa: ARG002 - the same for all
        return tuple(
            Case(name=f"{what}, {how}", against=None if how == ALL_OFF else f"{what}, {ALL_OFF}")
            for what in (DRAIN, *POSTS)
            for how in (ALL_OFF, ON, EXPORTED)
        )

    @contextmanager
    def prepared(self, bench: Bench, system: System, case: Case) -> Iterator[Round]:
        what, how = next(
            (what, how)
            for what in (DRAIN, *POSTS)
            for how in (ALL_OFF, ON, EXPORTED)
            if case.name == f"{what}, {how}"
        )

        def measure() -> Mapping[str, float]:
            with ExitStack() as stack:
                collector = stack.enter_context(collecting())
                settings = {ALL_OFF: OFF, ON: {}, EXPORTED: {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}}
                stage = stack.enter_context(bench.staged(system, settings[how]))
                done = _drained(bench, stage) if what == DRAIN else _posted(bench, stage, what)
            return {
                "jobs_per_second": done.jobs_per_second,
                "processor_us_per_job": 1e6 * done.processor_seconds / done.jobs,
                "exported_bytes_per_job": collector.received_bytes / done.jobs,
            }

        yield measure


def _drained(bench: Bench, stage: Stage) -> Drained:
    stored = stage.driver.fill(STEADY * bench.sizes.drain)
    return drain(stage, jobs=stored, workers=1, seconds_max=bench.sizes.drain_seconds_max)


def _posted(bench: Bench, stage: Stage, what: str) -> Posted:
    connections, batch = LOADS[what.removeprefix("HTTP ")]
    jobs = bench.sizes.http_one * (1 if connections == 1 else STEADY)  # one after the other takes its time
    return posted(stage, jobs, connections=connections, batch=batch)
