import asyncio

import pytest

from schedora.adapters.memory.process_reports import MemoryProcessReports
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.system.randomness import SeededRandomness
from schedora.adapters.telemetry.gauges import RegisteredGauges
from schedora.adapters.telemetry.reporter import Reporter
from schedora.application.errors import StoreUnavailable
from schedora.application.ports.metrics import Gauge
from schedora.application.ports.process_reports import ProcessReport
from schedora.domain.process import REPORTED_EVERY, ProcessKind
from tests.builders import HOUR
from tests.contract.test_process_reports import SLOTS, an_identity


class Bench:
    def __init__(self, kind: ProcessKind) -> None:
        self.clock = VirtualClock()
        store = MemoryStore(clock=self.clock, randomness=SeededRandomness(1, self.clock))
        self.reports = MemoryProcessReports(store)
        self.gauges = RegisteredGauges()
        self.slots = 1
        self.gauges.register(Gauge.WORKER_SLOTS, lambda: self.slots)
        self.reporter = Reporter(an_identity(kind=kind), self.gauges, self.reports, self.clock)
        self.stop = asyncio.Event()
        self.running = asyncio.create_task(self.reporter.run(self.stop))

    async def pause(self) -> None:
        """Until it waits for the next report."""
        while not self.clock.sleepers:
            await asyncio.sleep(0)

    async def later(self) -> None:
        self.clock.advance(REPORTED_EVERY)
        await asyncio.sleep(0)
        await self.pause()

    async def told(self) -> list[ProcessReport]:
        return await self.reports.fresh(HOUR)

    async def end(self) -> None:
        self.stop.set()
        await self.running


@pytest.fixture
async def bench() -> Bench:
    return Bench(ProcessKind.WORKER)


async def test_it_reports_at_once_and_every_few_seconds(bench: Bench) -> None:
    await bench.pause()
    [first] = await bench.told()
    bench.slots = 2
    await bench.later()
    [second] = await bench.told()
    await bench.end()

    assert (first.gauges[SLOTS], second.gauges[SLOTS]) == (1, 2)
    assert second.clock_at - first.clock_at == REPORTED_EVERY
    assert await bench.told() == [], "who has ended takes it back"


async def test_a_store_that_is_away_is_told_later(bench: Bench) -> None:
    bench.reports.faults.away = True
    await bench.pause()
    with pytest.raises(StoreUnavailable):
        await bench.reporter.report()
    bench.reports.faults.away = False
    await bench.later()
    assert len(await bench.told()) == 1
    bench.reports.faults.away = True
    await bench.end()


async def test_a_program_that_submits_and_goes_tells_nothing() -> None:
    bench = Bench(ProcessKind.CLIENT)
    await bench.pause()
    assert await bench.told() == []
    bench.reports.faults.away = True
    await bench.end()
    assert not bench.running.exception()


async def test_a_program_that_stays_reports_too() -> None:
    bench = Bench(ProcessKind.CLIENT)
    await bench.pause()
    await bench.later()
    assert len(await bench.told()) == 1
    await bench.end()
