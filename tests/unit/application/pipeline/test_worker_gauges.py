"""What a worker tells of itself as it stands."""

from schedora.application.context import JobContext
from schedora.application.ports.metrics import Gauge
from schedora.application.ports.totals import Series
from tests.builders import SECOND, a_request
from tests.unit.application.pipeline.engine import Engine, Held


def told(engine: Engine, gauge: Gauge) -> float | None:
    return engine.gauges.read().get(Series(gauge.value, ()))


async def test_the_rate_is_of_the_jobs_that_it_takes(engine: Engine) -> None:
    async def nothing(_context: JobContext) -> None: ...

    engine.handle(nothing)
    async with engine.running():
        assert told(engine, Gauge.WORKER_CLAIM_RATE) is None
        await engine.bench.submit([a_request() for _ in range(5)])
        await engine.advance(2 * SECOND)
        assert told(engine, Gauge.WORKER_CLAIM_RATE) == 2.5
        await engine.bench.submit([a_request(type="unknown")])
        await engine.advance(3 * SECOND)
        assert told(engine, Gauge.WORKER_CLAIM_RATE) == 1


async def test_slots_are_used_by_what_runs(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    engine.slots = 3
    async with engine.running():
        await engine.bench.submit([a_request(), a_request()])
        await engine.settle()
        assert [told(engine, gauge) for gauge in (Gauge.WORKER_SLOTS, Gauge.WORKER_SLOTS_USED)] == [3, 2]
        held.let_go()
        await engine.settle()
        assert told(engine, Gauge.WORKER_SLOTS_USED) == 0
