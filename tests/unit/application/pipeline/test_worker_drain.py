"""The worker on its way out: it finishes what it can and releases the rest."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from schedora.adapters.memory.job_queue import MemoryJobQueue
from schedora.application.context import JobContext
from schedora.application.handlers import Executor
from schedora.application.pipeline.claim import BUFFER_AGE_MAX
from schedora.application.pipeline.execute import DRAINED
from schedora.application.pipeline.runs import GRACE
from schedora.application.ports.job_queue import SyncAnswer, SyncBatch
from schedora.domain.ids import JsonText
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Succeeded
from schedora.domain.worker import WorkerState
from tests.builders import HOUR, SECOND, a_request
from tests.unit.application.pipeline.engine import Engine, Held, HeldThread

S = JobState


def ended(engine: Engine) -> bool:
    assert engine.task is not None
    return engine.task.done()


async def test_idle_worker_ends_at_once(engine: Engine) -> None:
    async with engine.running() as worker:
        worker.drain()
        await engine.settle()
        assert ended(engine)


async def test_what_runs_is_finished_and_nothing_new_is_taken(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        worker.drain()
        [submission] = await engine.bench.submit([a_request()])
        await engine.advance(20 * SECOND)
        assert not ended(engine)
        held.let_go()
        await engine.settle()
        assert ended(engine)
        assert (await engine.bench.stores.job(job.job_id)).status is S.SUCCESS
        assert (await engine.bench.stores.job(submission.job.job_id)).status is S.PENDING
    [seen] = await engine.incarnations()
    assert seen.status is WorkerState.STOPPED


async def test_what_does_not_finish_in_time_is_released(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        worker.drain()
        await engine.advance(engine.limits.shutdown_timeout - SECOND)
        worker.drain()
        assert held.stopped == []
        await engine.advance(SECOND)
        assert held.stopped == [job.job_id]
        assert ended(engine)
        back = await engine.bench.stores.job(job.job_id)
    assert (back.status, back.attempt, back.retry_count, back.errors) == (S.PENDING, 0, 0, ())
    assert back.history[-1].reason == DRAINED


@pytest.mark.parametrize("by_request", [False, True])
async def test_jobs_in_the_buffer_are_released_at_once(engine: Engine, by_request: bool) -> None:
    async def short(_context: JobContext) -> None: ...

    held = Held()
    engine.handle(short)
    engine.handle(held, job_type="long")
    engine.slots = 1
    await engine.bench.stores.submit(*(a_request() for _ in range(9)))
    runs = await engine.bench.stores.submit_one(a_request(type="long", priority=0))
    waits = await engine.bench.stores.submit_one(a_request(type="long", priority=0))
    async with engine.running() as worker:
        assert worker.stages.pool.buffered == 1
        if by_request:
            worker.heard(engine.heartbeat.incarnations[0], WorkerState.DRAINING)
        else:
            worker.drain()
        await engine.advance(engine.limits.flush)
        assert (await engine.bench.stores.job(runs.job_id)).status is S.RUNNING
        back = await engine.bench.stores.job(waits.job_id)
        assert (back.status, back.attempt, back.history[-1].reason) == (S.PENDING, 0, DRAINED)
        await engine.advance(BUFFER_AGE_MAX)
        assert len(held.contexts) == 1


async def test_what_finishes_while_it_is_being_stopped_is_finished(engine: Engine) -> None:
    held = Held()
    held.deaf = True
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        worker.drain()
        await engine.advance(engine.limits.shutdown_timeout)
        assert held.stopped == [job.job_id]
        held.let_go()
        await engine.settle()
        assert ended(engine)
        assert (await engine.bench.stores.job(job.job_id)).status is S.SUCCESS


async def test_handler_that_pays_no_heed_does_not_keep_the_worker(engine: Engine) -> None:
    held = Held()
    held.deaf = True
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        worker.drain()
        await engine.advance(engine.limits.shutdown_timeout + GRACE - SECOND)
        assert not ended(engine)
        await engine.advance(SECOND)
        assert ended(engine)
        assert (await engine.bench.stores.job(job.job_id)).status is S.PENDING
        held.let_go()


async def test_thread_is_told_and_its_job_released(engine: Engine) -> None:
    held = HeldThread()
    engine.handle(held, executor=Executor.THREAD)
    job = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        await engine.happens(held.began)
        worker.drain()
        await engine.advance(engine.limits.shutdown_timeout)
        assert held.told_to_stop()
        assert ended(engine)
        assert (await engine.bench.stores.job(job.job_id)).status is S.PENDING
        held.let_go()


async def test_process_is_killed_and_its_job_released(engine: Engine) -> None:
    async def never(_context: JobContext) -> None: ...

    engine.handle(never, executor=Executor.PROCESS)
    job = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        worker.drain()
        await engine.advance(engine.limits.shutdown_timeout)
        assert engine.children.killed == 1
        assert ended(engine)
        assert (await engine.bench.stores.job(job.job_id)).status is S.PENDING


async def test_outcome_waits_for_the_store_but_not_for_ever(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        engine.bench.faults.away = True
        held.let_go()
        worker.drain()
        await engine.advance(engine.limits.shutdown_timeout + 2 * GRACE - SECOND)
        assert not ended(engine)
        await engine.advance(GRACE)
        assert ended(engine)
    engine.bench.faults.away = False
    assert (await engine.bench.stores.job(job.job_id)).status is S.RUNNING, (
        "it is rescued like a dead worker's"
    )


async def test_store_that_comes_back_in_time_gets_the_outcome(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        engine.bench.faults.away = True
        held.let_go()
        worker.drain()
        await engine.advance(engine.limits.shutdown_timeout)
        engine.bench.faults.away = False
        await engine.advance(2 * GRACE)
        assert ended(engine)
        assert (await engine.bench.stores.job(job.job_id)).status is S.SUCCESS


async def test_outcome_that_got_stuck_on_its_way_is_sent_once_more_with_the_good_bye(engine: Engine) -> None:
    """One connection is dead, and not the store."""

    class Stuck(MemoryJobQueue):
        times = 1

        async def sync(self, batch: SyncBatch) -> SyncAnswer:
            if batch.completions and self.times:
                self.times -= 1
                await asyncio.Event().wait()
            return await super().sync(batch)

    engine.queue = Stuck(engine.bench.store)
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    with capture_logs() as logs:
        async with engine.running() as worker:
            held.let_go()
            worker.drain()
            await engine.advance(engine.limits.shutdown_timeout + 3 * GRACE)
            assert ended(engine)
    assert (await engine.bench.stores.job(job.job_id)).status is S.SUCCESS
    assert not [entry for entry in logs if entry["event"].startswith("outcomes were not written")]


async def test_timeout_counts_while_draining(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one(a_request(timeout=SECOND))
    async with engine.running() as worker:
        worker.drain()
        await engine.advance(SECOND)
        assert ended(engine)
        late = await engine.bench.stores.job(job.job_id)
    assert (late.status, late.errors[-1].kind) == (S.RETRYING, "timeout")


async def test_worker_that_is_torn_down_stops_its_handlers(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running():
        assert engine.task is not None
        engine.task.cancel()
        await engine.settle()
        assert held.stopped == [job.job_id]


async def test_worker_that_is_torn_down_tells_its_threads(engine: Engine) -> None:
    held = HeldThread()
    engine.handle(held, executor=Executor.THREAD)
    await engine.bench.stores.submit_one()
    async with engine.running():
        await engine.happens(held.began)
        assert engine.task is not None
        engine.task.cancel()
        await engine.settle()
        assert held.told_to_stop()
        held.let_go()


async def test_drain_before_the_first_step_takes_nothing(engine: Engine) -> None:
    engine.handle(Held())
    job = await engine.bench.stores.submit_one()
    threads_never_used = None
    worker = engine.build(threads_never_used)  # type: ignore[arg-type]  # nothing runs
    worker.drain()
    engine.bench.faults.away = True
    with capture_logs() as logs:
        await worker.run()
    engine.bench.faults.away = False
    assert logs == [], "the store knows nothing of it: there is no good-bye to say"
    assert await engine.bench.stores.job(job.job_id) == job


async def test_process_that_has_ended_while_the_store_was_away_is_kept(engine: Engine) -> None:
    async def never(_context: JobContext) -> None: ...

    engine.handle(never, executor=Executor.PROCESS)
    job = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        engine.bench.faults.away = True
        engine.children.outcome.set_result(Succeeded(result=JsonText("1")))
        worker.drain()
        await engine.advance(SECOND)
        engine.bench.faults.away = False
        await engine.advance(HOUR)
        assert (await engine.bench.stores.job(job.job_id)).status is S.SUCCESS


async def test_drained_while_it_registers_it_says_good_bye_all_the_same(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = type(engine.bench.stores.workers)
    register = workers.register

    async def and_no_answer_comes(self: Any, *of: Any) -> Any:
        await register(self, *of)
        await asyncio.Event().wait()

    monkeypatch.setattr(workers, "register", and_no_answer_comes)
    async with engine.running() as worker:
        assert [seen.status for seen in await engine.incarnations()] == [WorkerState.ACTIVE]
        worker.drain()
        await engine.settle()
        assert ended(engine)
    assert [seen.status for seen in await engine.incarnations()] == [WorkerState.STOPPED]
