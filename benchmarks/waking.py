"""Idle workers, and what it takes to wake them."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from attrs import frozen
from benchmarks import processors
from benchmarks.drivers import Broken
from benchmarks.systems.counters import Readings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.bench import Bench, Stage
    from benchmarks.drivers import Worker

LAST_SECONDS_MAX = 20.0
START_SECONDS_MAX = 120.0


@frozen(kw_only=True)
class Idlers:
    """Workers that have nothing to do."""

    stage: Stage
    readings: Readings
    workers: Sequence[Worker]
    server_pid: int | None

    def processor_seconds(self) -> float:
        """Of the workers, the database and Redis, since each was started."""
        seconds = sum(processors.of_process(worker.process.running.pid) for worker in self.workers)
        if self.server_pid is not None:
            seconds += processors.of_process(self.server_pid)
        if self.stage.redis_url is not None:
            seconds += processors.of_redis(self.stage.redis_url)
        return seconds

    def done(self, jobs: int) -> None:
        """Return once so many are done. Raises Broken."""
        deadline = time.monotonic() + LAST_SECONDS_MAX
        while self.readings.total() < jobs:
            for worker in self.workers:
                worker.process.must_run()
            if time.monotonic() > deadline:
                raise Broken(f"{self.readings.total()} of {jobs} jobs were picked up")
            time.sleep(0.01)

    def wakeups(self) -> float:
        """Stop them, and tell how many wake-ups they have counted. Of Schedora's workers only."""
        for worker in self.workers:
            worker.process.stop()
        if self.stage.database is None:
            raise RuntimeError(f"{self.stage.system.name} has no database")
        return self.stage.database.value(
            "SELECT coalesce(sum(value), 0) FROM metric_totals WHERE name = 'wakeups_total'"
        )


@contextmanager
def idle_workers(bench: Bench, stage: Stage, count: int) -> Iterator[Idlers]:
    """Start workers, and leave them alone until they count as idle."""
    counters = stage.directory / "counters"
    readings = Readings(counters)
    with ExitStack() as stack:
        workers = [stack.enter_context(stage.driver.working(counters, slot)) for slot in range(count)]
        for worker in workers:
            worker.ready(seconds_max=START_SECONDS_MAX)
        time.sleep(bench.sizes.idle_settle_seconds)
        server_pid = None if stage.database is None else bench.server.pid()
        yield Idlers(stage=stage, readings=readings, workers=workers, server_pid=server_pid)
