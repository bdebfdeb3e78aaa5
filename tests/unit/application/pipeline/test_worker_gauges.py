"""What a worker tells of itself as it stands."""

from schedora.application.context import JobContext
from schedora.application.ports.metrics import Gauge
from schedora.application.ports.shared_counters import Series
from tests.builders import SECOND, a_claimed_job, a_request
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


async def test_what_waits_for_a_slot_and_what_the_store_has_not_accepted_are_told(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    engine.slots = 1
    async with engine.running():
        await engine.bench.submit([a_request()])
        await engine.settle()
        engine.bench.faults.away = True
        held.let_go()
        await engine.settle()
        assert told(engine, Gauge.COMPLETIONS_PENDING) == 1
        engine.bench.faults.away = False
        await engine.advance(10 * SECOND)
        assert told(engine, Gauge.COMPLETIONS_PENDING) == 0


async def test_a_store_that_does_not_answer_is_no_progress(engine: Engine) -> None:
    async with engine.running():
        await engine.advance(60 * SECOND)
        well = told(engine, Gauge.LAST_PROGRESS)
        engine.bench.faults.away = True
        await engine.advance(120 * SECOND)
        ill = told(engine, Gauge.LAST_PROGRESS)
    assert well is not None
    assert ill is not None
    assert well <= 30
    assert ill >= 120


async def test_jobs_that_wait_for_a_slot_are_counted(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    engine.slots = 1
    async with engine.running() as worker:
        assert told(engine, Gauge.WORKER_JOBS_BUFFERED) == 0
        worker.stages.pool.take([a_claimed_job() for _ in range(3)])
        assert told(engine, Gauge.WORKER_JOBS_BUFFERED) == 2


async def test_progress_is_told_of_from_the_beginning(engine: Engine) -> None:
    engine.bench.faults.away = True
    async with engine.running():
        await engine.advance(60 * SECOND)
        assert told(engine, Gauge.LAST_PROGRESS) == 60


async def test_each_answer_of_the_store_is_progress(engine: Engine) -> None:
    engine.handle(Held())
    async with engine.running():
        await engine.advance(60 * SECOND)
        await engine.bench.submit([a_request()])
        await engine.settle()
        assert told(engine, Gauge.LAST_PROGRESS) == 0
