"""What it costs a drain to be looked at."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from benchmarks.draining import drain
from benchmarks.listening import listening
from benchmarks.scenarios.metrics import JOBS_PER_SECOND
from benchmarks.scenarios.scenario import Case, Metric
from benchmarks.systems.catalogue import OUR_ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.bench import Bench
    from benchmarks.scenarios.scenario import Round
    from benchmarks.systems.catalogue import System

NOBODY, ONE = "nobody listens", "one listens"


class Listener:
    name = "listener"
    question = (
        "Jobs a second that one worker runs beside an API, while somebody follows all events there, in Server-Sent"
        " Events"
    )
    metrics = (
        JOBS_PER_SECOND,
        Metric(key="events_per_job", title="events told a job", digits=2),
        Metric(key="gaps", title="gaps told", more_is_better=False),
    )
    verbs = frozenset({"setup", "submit", "work", "serve"})
    roles = OUR_ROLES

    def cases(self, system: System) -> tuple[Case, ...]:  # noqa: ARG002 - the same for all
        return (Case(name=NOBODY), Case(name=ONE, against=NOBODY))

    @contextmanager
    def prepared(self, bench: Bench, system: System, case: Case) -> Iterator[Round]:
        def measure() -> Mapping[str, float]:
            with bench.staged(system) as stage, ExitStack() as stack:
                jobs = stage.driver.fill(bench.sizes.drain)
                api = stack.enter_context(stage.driver.serving()).removesuffix("/jobs")
                heard = stack.enter_context(listening(f"{api}/events")) if case.name == ONE else None
                drained = drain(stage, jobs=jobs, workers=1, seconds_max=bench.sizes.drain_seconds_max)
                told = {} if heard is None else heard.all_of_it()
            return {
                "jobs_per_second": drained.jobs_per_second,
                "events_per_job": told.get("job", 0) / jobs,
                "gaps": told.get("gap", 0),
            }

        yield measure
