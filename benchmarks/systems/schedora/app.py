"""The application whose jobs are measured."""

import os
from functools import cache

from benchmarks.systems.counters import Counters

from schedora import Schedora

COUNTERS, SLOT = "BENCHMARK_COUNTERS", "BENCHMARK_SLOT"

app = Schedora()


@cache
def counters() -> Counters:
    """Those of this worker process."""
    return Counters(os.environ[COUNTERS], int(os.environ[SLOT]))


@app.job("noop")
async def noop(n: int, at: int, pad: str) -> None:  # noqa: ARG001 - the payload is what every system gets
    counters().done(at)
