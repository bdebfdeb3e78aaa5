"""How long answers take of whoever asks how things are, however much is stored."""

from __future__ import annotations

import time
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING

import httpx
from benchmarks.draining import drain
from benchmarks.drivers import Broken
from benchmarks.scenarios.scenario import Case, Metric
from benchmarks.systems.catalogue import OUR_ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.bench import Bench, Stage
    from benchmarks.scenarios.scenario import Round
    from benchmarks.systems.catalogue import System

NOTHING, READY, FINISHED = "nothing", "1,000,000 ready", "1,000,000 finished"
QUESTIONS = {"metrics": "/metrics", "stats": "/queue/stats", "health": "/health"}
TIMES = 30
TIMEOUT_SECONDS = 60.0


class Asking:
    name = "asking"
    question = (
        "Milliseconds until an API answers, asked for the first time, and half of the times after that (fewer jobs"
        " than said on a smaller scale)"
    )
    metrics = tuple(
        Metric(key=f"{name}_{which}_ms", title=f"{path}, {which}", digits=1, more_is_better=False)
        for name, path in QUESTIONS.items()
        for which in ("first", "median")
    )
    verbs = frozenset({"setup", "submit", "work", "serve"})
    roles = OUR_ROLES

    def cases(self, system: System) -> tuple[Case, ...]:  # noqa: ARG002 - the same for all
        return (Case(name=NOTHING), Case(name=READY), Case(name=FINISHED))

    @contextmanager
    def prepared(self, bench: Bench, system: System, case: Case) -> Iterator[Round]:
        with bench.staged(system) as stage:
            if case.name != NOTHING:
                stage.driver.fill(bench.sizes.backlog_large)
            if case.name == FINISHED:
                _finish(bench, stage)
            if stage.database is not None:
                stage.database.settle()

            def measure() -> Mapping[str, float]:
                with stage.driver.serving() as url:
                    return _asked(url.removesuffix("/jobs"))

            yield measure


def _finish(bench: Bench, stage: Stage) -> None:
    jobs = bench.sizes.backlog_large
    drained = drain(stage, jobs=jobs, workers=2, seconds_max=bench.sizes.long_seconds_max, others_due=True)
    if drained.jobs < jobs:
        raise Broken(f"only {drained.jobs} of {jobs} jobs were done in {drained.seconds:.0f} s")


def _asked(api: str) -> dict[str, float]:
    """Each question by itself; an answer that is kept for the next that asks shows in the median."""
    figures: dict[str, float] = {}
    with httpx.Client(timeout=TIMEOUT_SECONDS) as http:
        http.get(f"{api}/health/live").raise_for_status()  # the connection is made
        for name, path in QUESTIONS.items():
            spans = [_ms(http, f"{api}{path}") for _ in range(TIMES + 1)]
            figures |= {f"{name}_first_ms": spans[0], f"{name}_median_ms": median(spans[1:])}
    return figures


def _ms(http: httpx.Client, url: str) -> float:
    began = time.perf_counter()
    http.get(url).raise_for_status()
    return (time.perf_counter() - began) * 1000
