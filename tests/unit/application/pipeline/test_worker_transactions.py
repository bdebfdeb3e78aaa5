"""Handlers that complete their job inside a transaction of their own: both commit, or neither."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from schedora.application.context import JobContext
from schedora.application.directives import Snooze
from schedora.application.errors import LeaseLost, StoreUnavailable
from schedora.application.handlers import Executor
from schedora.application.pipeline.in_doubt import NOT_COMMITTED
from schedora.application.ports.metrics import Counter
from schedora.application.ports.unit_of_work import UnitOfWork
from schedora.domain.ids import JsonText
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Succeeded
from tests.builders import SECOND, a_new_job, a_request
from tests.unit.application.bench import Bench
from tests.unit.application.pipeline.engine import Engine, HeldThread

S = JobState
LONG_ENOUGH = 10 * SECOND


class RolledBack(Exception):
    pass


class Ledger:
    """A handler that writes something of its own and completes its job in one transaction."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.own = a_new_job(a_request(type="written by the handler"))
        self.roll_back = False
        self.raises: Exception | None = None
        """What it raises when its transaction has ended."""
        self.waits = asyncio.Event()
        """Until when it goes on after that."""
        self.waits.set()
        self.refused: Exception | None = None

    async def __call__(self, context: JobContext) -> str:
        try:
            async with self._transaction() as unit:
                await unit.jobs.add([self.own])
                await context.complete_in(unit, {"in": "the transaction"})
        except LeaseLost as error:
            self.refused = error
            raise
        await self.waits.wait()
        if self.raises is not None:
            raise self.raises
        return "returned"

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[UnitOfWork]:
        with suppress(RolledBack):
            async with self.bench.stores.units.begin() as unit:
                yield unit
                if self.roll_back:
                    raise RolledBack

    async def wrote(self) -> bool:
        return await self.bench.stores.job_reader.get(self.own.job_id) is not None


@pytest.fixture
async def ledger(engine: Engine) -> Ledger:
    ledger = Ledger(engine.bench)
    engine.handle(ledger)
    return ledger


async def one_job(engine: Engine) -> Job:
    [submission] = await engine.bench.submit([a_request()])
    await engine.settle()
    return await engine.bench.stores.job(submission.job.job_id)


async def test_commit_completes_the_job_with_the_result_given_there(engine: Engine, ledger: Ledger) -> None:
    async with engine.running() as worker:
        job = await one_job(engine)
        assert (job.status, job.result) == (S.SUCCESS, '{"in":"the transaction"}')
        assert await ledger.wrote()
        assert worker.stages.pool.free == engine.slots
        assert engine.bench.metrics.counted[Counter.JOBS_SUCCEEDED, "work"] == 1
        assert engine.bench.metrics.counted[Counter.JOBS_FENCED, ""] == 0
        assert [run.job_id for run, _ in engine.bench.export.runs] == [job.job_id]


async def test_roll_back_leaves_nothing_and_the_run_has_failed(engine: Engine, ledger: Ledger) -> None:
    ledger.roll_back = True
    async with engine.running():
        job = await one_job(engine)
    assert (job.status, job.errors[-1].kind, job.result) == (S.RETRYING, NOT_COMMITTED, None)
    assert job.history[-2].to_state is S.FAILED
    told = "the handler called complete_in and returned, but its transaction was not committed"
    assert job.errors[-1].message == told
    assert not await ledger.wrote()
    assert engine.bench.metrics.counted[Counter.JOBS_SUCCEEDED, "work"] == 0


async def test_failure_after_the_commit_changes_nothing(engine: Engine, ledger: Ledger) -> None:
    ledger.raises = LookupError("too late")
    async with engine.running():
        job = await one_job(engine)
    assert (job.status, job.errors) == (S.SUCCESS, ())
    assert engine.bench.metrics.counted[Counter.JOBS_SUCCEEDED, "work"] == 1
    assert engine.bench.metrics.counted[Counter.JOBS_FAILED, "work"] == 0


async def test_failure_after_a_roll_back_is_the_outcome(engine: Engine, ledger: Ledger) -> None:
    ledger.roll_back = True
    ledger.raises = LookupError("first of all")
    async with engine.running():
        job = await one_job(engine)
    assert (job.status, job.errors[-1].kind) == (S.RETRYING, "LookupError")


async def test_snooze_after_a_roll_back_is_the_outcome(engine: Engine, ledger: Ledger) -> None:
    ledger.roll_back = True
    ledger.raises = Snooze(60)
    async with engine.running():
        job = await one_job(engine)
    assert (job.status, job.attempt) == (S.PENDING, 0)


async def test_dependants_run_after_the_commit(engine: Engine, ledger: Ledger) -> None:
    async def after(_context: JobContext) -> None: ...

    engine.handle(after, job_type="written by the handler")
    async with engine.running():
        flow = await engine.bench.flow(a="", b="a")
        ledger.own = a_new_job(a_request(type="written by the handler"))
        await engine.settle()
        assert (await engine.bench.states(flow))["a"] is S.SUCCESS
        # The second run of the handler writes the same job again and fails: it came to be run, that is enough.
        assert (await engine.bench.stores.job(flow["b"].job_id)).attempt == 1


async def test_job_canceled_before_the_transaction_is_lost(engine: Engine, ledger: Ledger) -> None:
    begin = asyncio.Event()
    bench = engine.bench

    async def handler(context: JobContext) -> str:
        await begin.wait()
        return await ledger(context)

    engine.handle(handler, job_type="late")
    async with engine.running():
        job = await bench.stores.submit_one(a_request(type="late"))
        bench.stores.wakeup.notify(queues=["default"])
        await engine.settle()
        canceled = await bench.stores.cancel(job.job_id)  # by the store's word alone: no hint
        begin.set()
        await engine.settle()
        assert isinstance(ledger.refused, LeaseLost)
        assert not await ledger.wrote()
        assert await bench.stores.job(job.job_id) == canceled


async def test_run_that_was_stopped_can_not_complete_any_more(engine: Engine) -> None:
    bench = engine.bench
    refused: list[Exception] = []

    async def stubborn(context: JobContext) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            async with bench.stores.units.begin() as unit:
                try:
                    await context.complete_in(unit, None)
                except LeaseLost as error:
                    refused.append(error)
            raise

    engine.handle(stubborn)
    async with engine.running():
        job = await bench.stores.submit_one(a_request(timeout=SECOND))
        bench.stores.wakeup.notify(queues=["default"])
        await engine.advance(SECOND)
        assert [str(error) for error in refused] == [f"job {job.job_id} is no longer held by this run"]
        assert (await bench.stores.job(job.job_id)).status is S.RETRYING


async def test_run_over_its_time_after_the_commit_has_succeeded(engine: Engine, ledger: Ledger) -> None:
    ledger.waits.clear()
    async with engine.running() as worker:
        [submission] = await engine.bench.submit([a_request(timeout=SECOND)])
        await engine.settle()
        await engine.advance(LONG_ENOUGH)
        assert worker.stages.pool.free == engine.slots
        job = await engine.bench.stores.job(submission.job.job_id)
    assert (job.status, job.errors) == (S.SUCCESS, ())
    assert engine.bench.metrics.counted[Counter.JOBS_FAILED, "work"] == 0


async def test_run_over_its_time_after_a_roll_back_has_timed_out(engine: Engine, ledger: Ledger) -> None:
    ledger.roll_back = True
    ledger.waits.clear()
    async with engine.running():
        [submission] = await engine.bench.submit([a_request(timeout=SECOND)])
        await engine.settle()
        await engine.advance(SECOND)
        job = await engine.bench.stores.job(submission.job.job_id)
    assert (job.status, job.errors[-1].kind) == (S.RETRYING, "timeout")


async def test_lease_that_went_with_the_commit_stops_nobody(engine: Engine, ledger: Ledger) -> None:
    ledger.waits.clear()
    async with engine.running() as worker:
        await one_job(engine)
        await engine.advance(LONG_ENOUGH)  # leases are checked meanwhile
        assert worker.stages.pool.free == engine.slots - 1
        ledger.waits.set()
        await engine.settle()
        assert worker.stages.pool.free == engine.slots
    assert engine.bench.metrics.counted[Counter.JOBS_SUCCEEDED, "work"] == 1


async def test_draining_worker_ends_as_soon_as_it_knows(engine: Engine, ledger: Ledger) -> None:
    ledger.waits.clear()
    async with engine.running() as worker:
        await one_job(engine)
        worker.drain()
        await engine.settle()
        ledger.waits.set()
        await engine.settle()
        assert engine.task is not None
        assert engine.task.done()


async def test_doubt_is_kept_while_the_store_is_away(engine: Engine, ledger: Ledger) -> None:
    ledger.waits.clear()
    async with engine.running() as worker:
        await one_job(engine)
        engine.bench.faults.away = True
        ledger.waits.set()
        await engine.advance(60 * SECOND)
        worker.drain()
        await engine.settle()
        assert engine.task is not None
        assert not engine.task.done(), "it wants to know"
        engine.bench.faults.away = False
        await engine.advance(LONG_ENOUGH)
        assert engine.task.done()
    assert engine.bench.metrics.counted[Counter.JOBS_SUCCEEDED, "work"] == 1


async def test_store_that_fails_within_the_transaction_fails_the_handler(
    engine: Engine, ledger: Ledger
) -> None:
    async with engine.running():
        engine.bench.faults.fail("jobs.complete")
        job = await one_job(engine)
    assert (job.status, job.errors[-1].kind) == (S.RETRYING, StoreUnavailable.__name__)
    assert not await ledger.wrote()


async def test_commit_that_fails_leaves_the_failure(engine: Engine, ledger: Ledger) -> None:
    async with engine.running():
        [submission] = await engine.bench.submit([a_request()])
        engine.bench.faults.fail("before commit", nth=2)  # the first is the claim
        await engine.settle()
        job = await engine.bench.stores.job(submission.job.job_id)
    assert (job.status, job.errors[-1].kind) == (S.RETRYING, StoreUnavailable.__name__)
    assert not await ledger.wrote()


async def test_commit_whose_answer_is_lost_has_completed_the_job(engine: Engine, ledger: Ledger) -> None:
    async with engine.running():
        [submission] = await engine.bench.submit([a_request()])
        engine.bench.faults.fail("after commit", nth=2)  # the first is the claim
        await engine.settle()
        job = await engine.bench.stores.job(submission.job.job_id)
        assert (job.status, job.errors) == (S.SUCCESS, ())
        assert await ledger.wrote()
    assert engine.bench.metrics.counted[Counter.JOBS_SUCCEEDED, "work"] == 1


async def test_child_process_tells_that_it_has_written_a_completion(engine: Engine) -> None:
    async def never(_context: JobContext) -> None: ...

    engine.handle(never, executor=Executor.PROCESS)
    async with engine.running():
        job = await one_job(engine)
        [call], [link] = engine.children.calls, engine.children.links
        completion = await engine.bench.stores.settle(call.job, Succeeded(result=JsonText("7")))
        link.written(completion, frozenset())
        async with engine.bench.stores.units.begin() as unit:
            await engine.bench.complete.within(unit, completion)
        engine.children.outcome.set_result(Succeeded())
        await engine.settle()
        done = await engine.bench.stores.job(job.job_id)
    assert (done.status, done.result) == (S.SUCCESS, "7")
    assert engine.bench.metrics.counted[Counter.JOBS_FENCED, ""] == 0
    assert engine.bench.metrics.counted[Counter.JOBS_SUCCEEDED, "work"] == 1


async def test_thread_may_complete_in_a_transaction_too(engine: Engine) -> None:
    bench = engine.bench
    held = HeldThread()
    loop = asyncio.get_running_loop()

    def handler(context: JobContext) -> None:
        async def complete() -> None:
            async with bench.stores.units.begin() as unit:
                await context.complete_in(unit, "from a thread")

        asyncio.run_coroutine_threadsafe(complete(), loop).result(30)
        held(context)

    engine.handle(handler, executor=Executor.THREAD)
    async with engine.running():
        job = await one_job(engine)
        await engine.happens(held.began)
        held.let_go()
        done = await engine.becomes(job, S.SUCCESS)
        assert done.result == '"from a thread"'
        await engine.happens(held.ended)
