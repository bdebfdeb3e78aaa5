import asyncio
from collections.abc import Mapping
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.telemetry.flusher import EVERY, Flusher
from schedora.adapters.telemetry.local_counters import LocalCounters
from schedora.application.errors import StoreUnavailable
from schedora.application.ports.metrics import Counter, Histogram
from schedora.application.ports.shared_counters import Series

FENCED = Series("jobs_fenced_total", ())


class SharedCounters:
    """Takes what it is given, unless it is away."""

    def __init__(self) -> None:
        self.away = False
        self.taken: list[dict[Series, float]] = []
        self.added = asyncio.Event()

    async def add(self, increments: Mapping[Series, float]) -> None:
        self.added.set()
        if self.away:
            raise StoreUnavailable("away")
        self.taken.append(dict(increments))

    async def read(self) -> Mapping[Series, float]:
        return {}

    async def next(self) -> None:
        await self.added.wait()
        self.added.clear()


class Bench:
    def __init__(self) -> None:
        self.local_counters = LocalCounters()
        self.shared_counters = SharedCounters()
        self.clock = VirtualClock()
        self.flusher = Flusher(self.local_counters, self.shared_counters, self.clock, label_values_max=10)


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_it_hands_over_what_was_counted(bench: Bench) -> None:
    bench.local_counters.count(Counter.JOBS_FENCED)

    await bench.flusher.flush()
    await bench.flusher.flush()

    assert bench.shared_counters.taken == [{FENCED: 1}]


async def test_what_the_store_cant_take_it_gets_later(bench: Bench) -> None:
    bench.local_counters.count(Counter.JOBS_FENCED)
    bench.shared_counters.away = True
    with pytest.raises(StoreUnavailable):
        await bench.flusher.flush()
    bench.local_counters.count(Counter.JOBS_FENCED)
    bench.shared_counters.away = False

    await bench.flusher.flush()

    assert bench.shared_counters.taken == [{FENCED: 2}]


async def test_it_goes_on_every_second_whether_or_not_the_store_is_there(bench: Bench) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(bench.flusher.run(stop))
    for away in (False, True, False):
        bench.shared_counters.away = away
        bench.local_counters.count(Counter.JOBS_FENCED)
        while not bench.clock.sleepers:
            await asyncio.sleep(0)
        bench.clock.advance(EVERY)
        await bench.shared_counters.next()
    stop.set()
    await running

    assert bench.shared_counters.taken == [{FENCED: 1}, {FENCED: 2}]
    assert bench.clock.monotonic() == timedelta(seconds=3)


async def test_it_hands_over_the_rest_when_it_stops(bench: Bench) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(bench.flusher.run(stop))
    bench.local_counters.count(Counter.JOBS_FENCED)

    stop.set()
    await running

    assert bench.shared_counters.taken == [{FENCED: 1}]


async def test_what_nobody_takes_any_more_is_said(bench: Bench) -> None:
    bench.local_counters.count(Counter.JOBS_SUCCEEDED, "a", 2)
    bench.local_counters.count(Counter.JOBS_SUCCEEDED, "b")
    bench.local_counters.measure(Histogram.JOB_DURATION, ("a", "SUCCESS"), [1.0, 2.0])
    with capture_logs() as lines:
        bench.flusher.give_up()
        bench.flusher.give_up()

    [line] = lines
    assert (line["log_level"], line["counts"]) == (
        "error",
        {"jobs_succeeded_total": 3, "job_duration_seconds_count": 2},
    )
