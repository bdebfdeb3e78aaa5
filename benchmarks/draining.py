"""Drains: stored jobs, worker processes let at them, and the clock."""

from __future__ import annotations

import time
from contextlib import ExitStack
from itertools import pairwise
from typing import TYPE_CHECKING

import psutil
from attrs import Factory, define, frozen
from benchmarks import processors
from benchmarks.drivers import Broken
from benchmarks.systems.counters import Readings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.bench import Stage
    from benchmarks.drivers import Worker
    from benchmarks.postgres import Spending

START_SECONDS_MAX = 60.0
_LOOK_SECONDS = 0.001
_MEGABYTE = 1_000_000


@frozen(kw_only=True)
class Drained:
    """What a drain did."""

    jobs: int
    """Done while the clock ran."""
    seconds: float
    marks: tuple[float, ...]
    """When each part of the jobs was done, in seconds since the clock began; only the parts that were."""
    part: int
    """Jobs of a part."""
    spending: Spending | None
    """From before the workers' start to after their end; None where the store is not PostgreSQL."""
    worker_megabytes: tuple[float, ...]
    """Resident memory of the first worker at the end of each part, and last at the end."""
    processor_seconds: float
    """Of the first worker, while the clock ran."""

    @property
    def jobs_per_second(self) -> float:
        return self.jobs / self.seconds

    def jobs_per_second_by_part(self) -> list[float]:
        """Of the parts that were done. Raises Broken when they went by too fast to be told apart."""
        edges = (0.0, *self.marks)
        if any(start == end for start, end in pairwise(edges)):
            raise Broken(f"parts of {self.part} jobs are too small to be timed")
        return [self.part / (end - start) for start, end in pairwise(edges)]

    def figures(self) -> dict[str, float]:
        """What is told of every drain."""
        told = {"jobs_per_second": self.jobs_per_second, "worker_megabytes": self.worker_megabytes[-1]}
        if self.spending is not None:
            told["wal_bytes_per_job"] = self.spending.wal_bytes / self.jobs
            told["dead_rows_per_job"] = self.spending.rows_left_dead / self.jobs
            if self.spending.updates:
                told["hot_share"] = self.spending.hot_updates / self.spending.updates
        return told


def drain(
    stage: Stage,
    *,
    jobs: int,
    workers: int,
    parts: int = 1,
    concurrency: int | None = None,
    seconds_max: float,
    snapshot_held: bool = False,
    others_due: bool = False,
) -> Drained:
    """Let workers at `jobs` stored jobs, and return when all are done, or after `seconds_max`.

    The clock begins when the gate opens. Where the system has none it begins when every worker has done its first
    job, and counts from there. It ends with the last handler's end. With
    `others_due` more jobs can be run than are counted. Raises Broken.
    """
    database, gate_tables = stage.database, stage.system.gate
    with ExitStack() as stack:
        if database is not None:
            database.settle()
        before = None if database is None else database.spending()
        if database is not None and snapshot_held:
            stack.enter_context(database.snapshot_held())
        gate = stack.enter_context(database.closed(gate_tables)) if database and gate_tables else None
        counters = stage.directory / "counters"
        readings = Readings(counters)
        running = [
            stack.enter_context(stage.driver.working(counters, slot, concurrency=concurrency))
            for slot in range(workers)
        ]
        pids = [worker.ready(seconds_max=START_SECONDS_MAX) for worker in running]
        watch = _Watch(readings=readings, jobs=jobs, part=max(jobs // parts, 1), pid=pids[0])
        if gate is not None:
            gate.wait_for(workers, seconds_max=START_SECONDS_MAX)
            watch.begin(0)
            gate.open()
        watch.run(running, seconds_max)
        for worker in running:
            worker.process.stop()
        done = readings.total()
    if watch.complete and done != jobs and not others_due:
        raise Broken(f"{stage.system.name} ran {done} jobs of {jobs}")
    return Drained(
        jobs=watch.done - watch.done_before,
        seconds=watch.now - watch.began,
        marks=tuple(watch.marks),
        part=watch.part,
        spending=None if database is None or before is None else database.spending().since(before),
        worker_megabytes=tuple(watch.megabytes),
        processor_seconds=watch.processor_seconds,
    )


@define(kw_only=True)
class _Watch:
    """Looks at the counters, and notes when what was done."""

    readings: Readings
    jobs: int
    part: int
    pid: int
    began: float = 0.0
    now: float = 0.0
    done: int = 0
    done_before: int = 0
    """Done when the clock began."""
    marks: list[float] = Factory(list)
    megabytes: list[float] = Factory(list)
    processor_seconds: float = 0.0

    @property
    def complete(self) -> bool:
        return self.done >= self.jobs

    def begin(self, done: int) -> None:
        self.done_before = done
        self.processor_seconds = -processors.of_process(self.pid)
        self.began = time.perf_counter()

    def run(self, workers: Sequence[Worker], seconds_max: float) -> None:
        """Return when all is done or the time is over. Raises Broken when a worker dies or nothing moves."""
        deadline = time.perf_counter() + seconds_max
        looks = 0
        while True:
            counts = self.readings.counts()
            self.now, self.done = time.perf_counter(), sum(counts)
            if not self.began and sum(map(bool, counts)) >= len(workers):
                self.begin(self.done)
            while self.began and self.done >= self.part * (len(self.marks) + 1):
                self.marks.append(self.now - self.began)
                self._weigh()
            if self.complete or self.now > deadline:
                break
            looks += 1
            if looks % 100 == 0:
                for worker in workers:
                    worker.process.must_run()
            time.sleep(_LOOK_SECONDS)
        self.processor_seconds += processors.of_process(self.pid)
        self._weigh()
        if not self.began or self.done <= self.done_before:
            raise Broken(
                f"{self.done} of {self.jobs} jobs done, by {sum(map(bool, self.readings.counts()))} of"
                f" {len(workers)} workers: nothing to time. {workers[0].process.complaint()}"
            )

    def _weigh(self) -> None:
        self.megabytes.append(psutil.Process(self.pid).memory_info().rss / _MEGABYTE)
