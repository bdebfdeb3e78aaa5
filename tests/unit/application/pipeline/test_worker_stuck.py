"""Handlers that can't be stopped: what they hold is told, and a worker ends before they hold all of it."""

import attrs
import pytest
from structlog.testing import capture_logs

from schedora.application.handlers import Executor
from schedora.application.pipeline.runs import GRACE
from schedora.application.ports.metrics import Gauge
from schedora.application.ports.shared_counters import Series
from schedora.domain.job_state import JobState
from schedora.domain.retry import MICROSECOND, RetryPolicy
from schedora.domain.worker import WorkerState
from tests.builders import HOUR, SECOND, a_request
from tests.unit.application.pipeline.engine import Engine, Held, HeldThread

S = JobState
ONCE = RetryPolicy(max_retries=0)


def stuck_threads(engine: Engine) -> float | None:
    return engine.gauges.read()[Series(Gauge.STUCK_THREADS.value, ())]


def replaceable(engine: Engine) -> None:
    engine.limits = attrs.evolve(engine.limits, replaceable=True)


async def test_a_thread_is_stuck_once_it_has_had_its_grace_and_until_it_returns(engine: Engine) -> None:
    held = HeldThread()
    engine.handle(held, executor=Executor.THREAD)
    engine.slots = 3
    await engine.bench.stores.submit_one(a_request(timeout=SECOND, retry=ONCE))
    async with engine.running() as worker:
        await engine.happens(held.began)
        await engine.advance(SECOND + GRACE - MICROSECOND)
        assert (stuck_threads(engine), worker.stages.pool.free) == (0, 2)
        await engine.advance(MICROSECOND)
        assert (stuck_threads(engine), worker.stages.pool.free) == (1, 2)
        held.let_go()
        await engine.happens(held.ended)
        while stuck_threads(engine):
            await engine.settle()
        assert worker.stages.pool.free == 3


async def test_a_canceled_one_is_stuck_as_well(engine: Engine) -> None:
    held = HeldThread()
    engine.handle(held, executor=Executor.THREAD)
    job = await engine.bench.stores.submit_one()
    async with engine.running():
        await engine.happens(held.began)
        await engine.bench.cancel(job.job_id)
        await engine.settle()
        assert stuck_threads(engine) == 0
        await engine.advance(GRACE)
        assert stuck_threads(engine) == 1
        held.let_go()


async def test_with_half_of_its_slots_held_so_it_finishes_what_runs_and_ends_needs_restart(
    engine: Engine,
) -> None:
    sits, works = HeldThread(), Held()
    engine.handle(sits, job_type="sits", executor=Executor.THREAD)
    engine.handle(works)
    engine.slots = 2
    replaceable(engine)
    await engine.bench.stores.submit_one(a_request(type="sits", timeout=SECOND, retry=ONCE))
    working = await engine.bench.stores.submit_one()
    with capture_logs() as logs:
        async with engine.running() as worker:
            await engine.happens(sits.began)
            await engine.advance(SECOND + GRACE + engine.limits.lease_check)
            assert worker.needs_restart
            later = await engine.bench.stores.submit_one()
            works.let_go()
            await engine.settle()
            assert engine.task is not None
            assert engine.task.done()
            assert (await engine.bench.stores.job(working.job_id)).status is S.SUCCESS
            assert (await engine.bench.stores.job(later.job_id)).status is S.PENDING
            sits.let_go()
    [told] = [entry for entry in logs if entry["event"].startswith("handlers that do not stop")]
    assert (told["stuck"], told["slots"], told["job_types"]) == (1, 2, ["sits"])
    [seen] = await engine.incarnations()
    assert seen.status is WorkerState.STOPPED


async def test_a_coroutine_that_does_not_stop_counts_too_though_it_is_no_thread(engine: Engine) -> None:
    held = Held()
    held.deaf = True
    engine.handle(held)
    engine.slots = 1
    replaceable(engine)
    await engine.bench.stores.submit_one(a_request(timeout=SECOND, retry=ONCE))
    async with engine.running() as worker:
        await engine.advance(SECOND + GRACE + engine.limits.lease_check)
        assert worker.needs_restart
        assert stuck_threads(engine) == 0
        held.let_go()


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_needs_restart_it_keeps_what_the_store_has_not_taken_unless_somebody_waits_for_its_end(
    engine: Engine, *, is_stopped: bool
) -> None:
    sits, works = HeldThread(), Held()
    engine.handle(sits, job_type="sits", executor=Executor.THREAD)
    engine.handle(works)
    replaceable(engine)
    await engine.bench.stores.submit_one(a_request(type="sits", timeout=SECOND, retry=ONCE))
    done = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        await engine.happens(sits.began)
        engine.bench.faults.away = True
        works.let_go()
        await engine.advance(HOUR)
        assert worker.needs_restart
        assert engine.task is not None
        if is_stopped:
            worker.drain()
            await engine.advance(engine.limits.shutdown_timeout + 2 * GRACE - MICROSECOND)
        assert not engine.task.done()
        await engine.advance(GRACE)
        assert engine.task.done() is is_stopped
        engine.bench.faults.away = False
        await engine.advance(10 * SECOND)
        assert engine.task.done()
        status = (await engine.bench.stores.job(done.job_id)).status
        assert status is (S.RUNNING if is_stopped else S.SUCCESS)
        sits.let_go()


@pytest.mark.parametrize("why", ["fewer than half", "nothing takes over", "drained by request"])
async def test_it_goes_on_with(engine: Engine, why: str) -> None:
    held = HeldThread()
    engine.handle(held, executor=Executor.THREAD)
    engine.slots = 3 if why == "fewer than half" else 1
    if why != "nothing takes over":
        replaceable(engine)
    await engine.bench.stores.submit_one(a_request(timeout=SECOND, retry=ONCE))
    async with engine.running() as worker:
        await engine.happens(held.began)
        if why == "drained by request":
            assert worker.incarnation is not None
            worker.heard(worker.incarnation, WorkerState.DRAINING)
        await engine.advance(HOUR)
        assert stuck_threads(engine) == 1
        assert not worker.needs_restart
        held.let_go()
