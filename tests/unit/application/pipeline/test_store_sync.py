"""Batches with the store: how many at a time, and what each of them takes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from attrs import field, frozen

from schedora.adapters.memory.job_queue import MemoryJobQueue
from schedora.application.context import JobContext
from schedora.application.directives import Discard, Retry
from schedora.application.errors import StoreUnavailable
from schedora.application.pipeline import batching
from schedora.application.pipeline.batching import UNDER_WAY_MAX, WORTH_A_SECOND
from schedora.application.pipeline.complete import Completed, CompleteJobs
from schedora.application.pipeline.worker import Worker
from schedora.application.ports.job_queue import JobQueue, SyncAnswer, SyncBatch
from schedora.application.ports.metrics import Counter, Histogram
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.ids import IncarnationId, LeaseId
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Outcome, Released, Snoozed, Succeeded
from schedora.domain.worker import WorkerState
from tests.builders import SECOND, a_claimed_job, a_request, a_workflow_id, settled
from tests.unit.application.bench import Bench
from tests.unit.application.pipeline.engine import W1, Engine, Held
from tests.unit.application.pipeline.recorded import RecordedWakeup

MILLISECOND = timedelta(milliseconds=1)
"""The worker does not rest for less."""


class SlowQueue:
    """Passes batches on when told to, one by one, in the order in which they came."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self.slow = False
        self.waiting: list[tuple[SyncBatch, asyncio.Future[BaseException | None]]] = []
        self.most = 0

    async def sync(self, batch: SyncBatch) -> SyncAnswer:
        if self.slow:
            passed: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
            self.waiting.append((batch, passed))
            self.most = max(self.most, len(self.waiting))
            if (error := await passed) is not None:
                raise error
        return await self._queue.sync(batch)

    async def held(self, owner: IncarnationId) -> frozenset[LeaseId]:
        return await self._queue.held(owner)

    async def claims(self, owner: IncarnationId) -> list[ClaimedJob]:
        return await self._queue.claims(owner)

    def pass_on(self, error: BaseException | None = None) -> SyncBatch:
        batch, passed = self.waiting.pop(0)
        passed.set_result(error)
        return batch

    @property
    def batches(self) -> list[SyncBatch]:
        return [batch for batch, _ in self.waiting]


@pytest.fixture
def queue(engine: Engine) -> SlowQueue:
    queue = SlowQueue(engine.queue)
    engine.queue = queue
    return queue


async def short(_context: JobContext) -> None: ...


@asynccontextmanager
async def busy(engine: Engine, queue: SlowQueue, jobs: int) -> AsyncIterator[None]:
    """A worker that knows that its jobs are short, and whose store has become slow. All end well once it is quick
    again.
    """
    stores = engine.bench.stores
    engine.handle(short)
    submitted = await stores.submit(*(a_request() for _ in range(20)))
    async with engine.running():
        queue.slow = True
        submitted += await stores.submit(*(a_request() for _ in range(jobs)))
        stores.wakeup.notify(queues={"default"})
        await engine.settle()
        yield
        queue.slow = False
        while queue.waiting:
            queue.pass_on()
        await engine.advance(10 * SECOND)
        assert {(await stores.job(job.job_id)).status for job in submitted} == {JobState.SUCCESS}


async def test_little_goes_in_one_batch_at_a_time(engine: Engine, queue: SlowQueue) -> None:
    async with busy(engine, queue, 3):
        [claim] = queue.batches
        assert claim.claim is not None
        queue.pass_on()
        await engine.settle()
        [ended] = queue.batches
        assert (len(ended.completions), ended.claim) == (3, None)
    assert queue.most <= UNDER_WAY_MAX


async def test_a_batch_of_completions_does_not_wait_for_the_claim_under_way(
    engine: Engine, queue: SlowQueue
) -> None:
    async with busy(engine, queue, 3 * WORTH_A_SECOND):
        while not any(len(batch.completions) >= WORTH_A_SECOND for batch in queue.batches):
            assert queue.waiting, "nothing is under way"
            queue.pass_on()
            await engine.settle()
        kinds = [batch.claim is not None for batch in queue.batches]
        assert kinds.count(True) <= 1, "there is one claim at a time"
        sent = [completion.lease_id for batch in queue.batches for completion in batch.completions]
        assert len(sent) == len(set(sent)), "what is under way does not go twice"
    assert queue.most <= UNDER_WAY_MAX


async def test_what_was_under_way_when_the_store_went_goes_again(engine: Engine, queue: SlowQueue) -> None:
    async with busy(engine, queue, 3):
        queue.pass_on()
        await engine.settle()
        while queue.waiting:
            queue.pass_on(StoreUnavailable("away"))
            await engine.settle()


async def test_leases_are_checked_only_when_no_batch_is_under_way(
    engine: Engine, queue: SlowQueue, bench: Bench
) -> None:
    """Else what a claim has just brought would be taken for something that nobody knows of."""
    held = Held()
    engine.handle(held)
    async with engine.running() as worker:
        queue.slow = True
        job = await bench.stores.submit_one(a_request())
        bench.stores.wakeup.notify(queues={"default"})
        await engine.settle()
        await engine.advance(engine.limits.lease_check_idle)
        assert worker.stages.pool.held() == set()
        queue.slow = False
        queue.pass_on()
        await engine.settle()
        assert [context.job_id for context in held.contexts] == [job.job_id]


async def test_defect_in_a_batch_ends_the_worker(engine: Engine, queue: SlowQueue) -> None:
    engine.handle(short)
    async with engine.running():
        queue.slow = True
        engine.bench.stores.wakeup.notify(queues={"default"})
        await engine.settle()
        queue.pass_on(RuntimeError("a defect"))
        await engine.settle()
        assert engine.task is not None
        with pytest.raises(RuntimeError, match="a defect"):
            await engine.task


async def test_what_a_claim_under_way_brings_to_a_worker_that_drains_goes_back(
    engine: Engine, queue: SlowQueue, bench: Bench
) -> None:
    engine.handle(short)
    async with engine.running() as worker:
        queue.slow = True
        job = await bench.stores.submit_one(a_request())
        bench.stores.wakeup.notify(queues={"default"})
        await engine.settle()
        worker.drain()
        await engine.settle()
        assert engine.task is not None
        assert not engine.task.done(), "it waits for what is under way"
        queue.slow = False
        queue.pass_on()
        await engine.settle()
        assert (await bench.stores.job(job.job_id)).status is JobState.PENDING
        assert engine.task.done()


@asynccontextmanager
async def two_runs(engine: Engine, queue: SlowQueue) -> AsyncIterator[Held]:
    """That go on, under a store that has become slow; there is room for one more."""
    held = Held()
    engine.handle(held)
    engine.slots = 3
    await engine.bench.stores.submit(*(a_request() for _ in range(2)))
    async with engine.running():
        await engine.advance(engine.limits.report)
        queue.slow = True
        yield held
        queue.slow = False
        while queue.waiting:
            queue.pass_on()
        await engine.settle()


async def test_one_batch_at_a_time_tells_of_starts_and_reports(engine: Engine, queue: SlowQueue) -> None:
    async with two_runs(engine, queue) as held:
        for context in held.contexts:
            context.progress(0.5)
            await engine.settle()
        await engine.advance(2 * engine.limits.report)
        assert [len(batch.starts) for batch in queue.batches] == [1]
        queue.pass_on()
        await engine.advance(engine.limits.report)
        assert [len(batch.starts) for batch in queue.batches] == [1]


async def test_few_completions_wait_for_the_batch_under_way(engine: Engine, queue: SlowQueue) -> None:
    async with two_runs(engine, queue) as held:
        held.contexts[0].progress(0.5)
        await engine.settle()
        held.let_go()
        await engine.settle()
        assert len(queue.batches) == 1
        queue.pass_on()
        await engine.settle()
        assert [len(batch.completions) for batch in queue.batches] == [2]


async def test_a_third_batch_waits_for_one_of_two_whatever_it_has_to_bring(
    engine: Engine, queue: SlowQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "WORTH_A_SECOND", 1)
    async with two_runs(engine, queue) as held:
        held.contexts[0].progress(0.5)
        await engine.settle()
        engine.bench.stores.wakeup.notify(queues={"default"})
        await engine.settle()
        assert [(len(one.starts), one.claim is not None) for one in queue.batches] == [
            (1, False),
            (0, True),
        ]
        held.let_go()
        await engine.settle()
        assert len(queue.batches) == UNDER_WAY_MAX


def an_outcome(worker: Worker, **fields: Any) -> None:
    """A job has ended just now."""
    job = a_claimed_job(**fields)
    completion = settled(job, Succeeded())
    worker.stages.completion_buffer.put(job, completion, worker.stages.clock.monotonic())
    worker.changed.set()


@asynccontextmanager
async def one_that_waits(engine: Engine, queue: SlowQueue) -> AsyncIterator[Worker]:
    """In the buffer, behind one that goes on: then outcomes wait a little for company."""
    held = Held()
    engine.handle(held)
    engine.slots = 1
    async with engine.running() as worker:
        queue.slow = True
        worker.stages.pool.take([a_claimed_job(), a_claimed_job()])
        assert worker.stages.pool.buffered == 1
        yield worker


async def test_outcomes_wait_for_company_from_the_first_of_them_on(engine: Engine, queue: SlowQueue) -> None:
    flush = engine.limits.flush
    async with one_that_waits(engine, queue) as worker:
        an_outcome(worker)
        await engine.advance(flush - MILLISECOND)
        an_outcome(worker)
        await engine.settle()
        assert queue.batches == []
        await engine.advance(MILLISECOND)
        assert [len(batch.completions) for batch in queue.batches] == [2]


async def test_outcomes_enough_for_a_batch_wait_for_no_more(
    engine: Engine, queue: SlowQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "WORTH_A_SECOND", 2)
    async with one_that_waits(engine, queue) as worker:
        an_outcome(worker)
        await engine.settle()
        assert queue.batches == []
        an_outcome(worker)
        await engine.settle()
        assert [len(batch.completions) for batch in queue.batches] == [2]


async def test_start_is_told_once_a_run_has_lasted_for_a_moment(engine: Engine, queue: SlowQueue) -> None:
    engine.handle(Held())
    async with engine.running() as worker:
        await engine.advance(SECOND)
        queue.slow = True
        worker.stages.pool.take([a_claimed_job(started_at=None)])
        worker.changed.set()
        await engine.advance(engine.limits.flush - MILLISECOND)
        assert queue.batches == []
        await engine.advance(MILLISECOND)
        assert [len(batch.starts) for batch in queue.batches] == [1]


@frozen(kw_only=True)
class SlowComplete(CompleteJobs):
    batches: list[int] = field(factory=list)
    passed: asyncio.Event = field(factory=asyncio.Event)

    async def __call__(self, completions: Sequence[Completion]) -> Completed:
        self.batches.append(len(completions))
        await self.passed.wait()
        return Completed(accepted=frozenset(one.lease_id for one in completions))


async def test_completions_of_workflows_go_one_batch_at_a_time(engine: Engine) -> None:
    stores = engine.bench.stores
    engine.complete = slow = SlowComplete(units=stores.units, wakeup=stores.wakeup)
    async with engine.running() as worker:
        for _ in range(3):
            an_outcome(worker, workflow_id=a_workflow_id())
            await engine.settle()
        assert slow.batches == [1]
        slow.passed.set()
        await engine.settle()
        assert slow.batches == [1, 2]


@pytest.mark.parametrize("in_workflow", [True, False])
async def test_it_says_whether_there_was_anything_to_start(engine: Engine, in_workflow: bool) -> None:
    stores = engine.bench.stores
    engine.complete = SlowComplete(units=stores.units, wakeup=stores.wakeup)
    async with engine.running() as worker:
        assert worker.stages.store_sync.start() is False
        an_outcome(worker, workflow_id=a_workflow_id() if in_workflow else None)
        assert worker.stages.store_sync.start() is True
        assert worker.stages.store_sync.start() is False


async def test_what_a_workflow_cancels_is_counted(engine: Engine) -> None:
    async def give_up(_context: JobContext) -> None:
        raise Discard

    engine.handle(give_up)
    await engine.bench.flow(a="", b="a", c="b")
    async with engine.running():
        pass
    assert engine.bench.metrics.counted[Counter.JOBS_CANCELED, "work"] == 2


async def test_while_two_are_under_way_it_wakes_up_for_no_other(
    engine: Engine, queue: SlowQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "WORTH_A_SECOND", 1)
    async with two_runs(engine, queue) as held:
        engine.bench.stores.wakeup.notify(queues={"default"})
        await engine.settle()
        an_outcome(engine.worker)
        await engine.settle()
        assert [(one.claim is not None, len(one.completions)) for one in queue.batches] == [
            (True, 0),
            (False, 1),
        ]
        held.contexts[0].progress(0.5)
        await engine.settle()
        assert engine.worker.stages.store_sync.moments() == []


async def test_suspect_keeps_no_slot_from_others_before_its_start_can_be_told(
    engine: Engine, queue: SlowQueue
) -> None:
    async with two_runs(engine, queue) as held:
        held.contexts[0].progress(0.5)
        await engine.settle()
        engine.worker.stages.pool.take([a_suspect()])
        engine.bench.stores.wakeup.notify(queues={"default"})
        await engine.settle()
        assert [(len(one.starts), one.claim is not None) for one in queue.batches] == [
            (1, False),
            (0, True),
        ]
        assert engine.worker.stages.pool.free == 1


async def test_starts_of_suspects_are_told_with_those_of_others(engine: Engine, queue: SlowQueue) -> None:
    async with two_runs(engine, queue) as held:
        held.contexts[0].progress(0.5)
        suspect = a_suspect()
        engine.worker.stages.pool.take([suspect])
        await engine.settle()
        [told] = queue.batches
        known = [run.job.lease_id for run in engine.worker.stages.pool.runs.unsent]
        assert [start.lease_id for start in told.starts] == [*known, suspect.lease_id]


async def test_what_is_lost_keeps_no_other_from_its_start(engine: Engine, queue: SlowQueue) -> None:
    """Of two starts in one batch the store takes the second alone."""
    held = Held()
    engine.handle(held)
    async with engine.running() as worker:
        lost = a_claimed_job(started_at=None)
        await engine.bench.stores.submit_one()
        owner = engine.heartbeat.incarnations[0]
        [job] = await engine.bench.stores.claim(owner, worker_id=W1, types=("work",), start_count=0)
        worker.stages.pool.take([lost, job])
        worker.changed.set()
        queue.slow = True
        await engine.advance(engine.limits.flush)
        assert [len(batch.starts) for batch in queue.batches] == [2]
        queue.pass_on()
        await engine.settle()
        assert held.stopped == [lost.job_id]
        assert queue.batches == [], "it is not told again"
        assert (await engine.bench.stores.job(job.job_id)).status is JobState.RUNNING


async def test_one_that_is_ended_with_the_worker_is_no_error(engine: Engine, queue: SlowQueue) -> None:
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    async with engine.running():
        queue.slow = True
        engine.bench.stores.wakeup.notify(queues={"default"})
        await engine.settle()
        assert len(queue.waiting) == 1
    assert errors == []


async def test_how_long_it_took_is_told(engine: Engine, queue: SlowQueue) -> None:
    engine.handle(short)
    async with engine.running():
        await engine.advance(SECOND)
        queue.slow = True
        await engine.bench.submit([a_request()])
        await engine.advance(2 * SECOND)
        queue.slow = False
        queue.pass_on()
        await engine.settle()
    took = [span for name, _, span in engine.bench.metrics.observed if name is Histogram.BATCH_SYNC_DURATION]
    assert took == [2 * SECOND, 0 * SECOND]


async def test_answer_that_was_long_on_its_way_sets_no_clock_back(engine: Engine) -> None:
    class Far(MemoryJobQueue):
        arrives: asyncio.Event | None = None

        async def sync(self, batch: SyncBatch) -> SyncAnswer:
            answer = await super().sync(batch)
            if self.arrives is not None:
                await self.arrives.wait()
            return answer

    engine.queue = queue = Far(engine.bench.store)
    engine.handle(short)
    async with engine.running() as worker:
        await engine.advance(SECOND)
        queue.arrives = asyncio.Event()
        engine.bench.stores.wakeup.notify(queues={"default"})
        await engine.advance(SECOND)
        assert len(worker.stages.store_sync._tasks()) == 1
        queue.arrives.set()
        await engine.settle()
        assert len(worker.stages.store_sync._tasks()) == 0
        assert worker.stages.store_time.now() == engine.bench.clock.now()


async def test_registration_that_was_long_on_its_way_sets_no_clock_back(
    engine: Engine, queue: SlowQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = type(engine.bench.stores.workers)
    register = workers.register
    arrives = asyncio.Event()

    async def from_afar(self: Any, *of: Any) -> Any:
        registered = await register(self, *of)
        await arrives.wait()
        return registered

    async with engine.running() as worker:
        await engine.advance(SECOND)
        monkeypatch.setattr(workers, "register", from_afar)
        worker.heard(engine.heartbeat.incarnations[0], WorkerState.STALE)
        await engine.advance(SECOND)
        queue.slow = True  # its answer would tell the time
        arrives.set()
        await engine.settle()
        assert (len(engine.heartbeat.incarnations), len(queue.waiting)) == (2, 1)
        assert worker.stages.store_time.now() == engine.bench.clock.now()


async def test_worker_that_found_all_it_asked_for_looks_again_as_soon_as_there_is_room(
    engine: Engine, wakeup: RecordedWakeup
) -> None:
    """Though no hint tells of the rest."""
    held = Held()
    engine.handle(held)
    jobs = await engine.bench.stores.submit(*(a_request() for _ in range(2 * engine.slots)))
    async with engine.running():
        assert len(held.contexts) == engine.slots
        held.let_go()
        await engine.settle()
        done = [(await engine.bench.stores.job(job.job_id)).status for job in jobs]
        assert done == [JobState.SUCCESS] * len(jobs)


@pytest.mark.parametrize("in_workflow", [True, False])
async def test_job_that_waits_again_is_looked_for_when_it_falls_due(
    engine: Engine, wakeup: RecordedWakeup, in_workflow: bool
) -> None:
    runs: list[timedelta] = []

    async def again(context: JobContext) -> None:
        runs.append(engine.bench.clock.monotonic())
        if context.attempt == 1:
            raise Retry("later", after=5)

    engine.handle(again)
    if in_workflow:
        await engine.bench.flow(a="")
    else:
        await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        await engine.settle()
        assert worker.stages.poll_scheduler.expected_at == engine.bench.clock.monotonic() + 5 * SECOND
        await engine.advance(5 * SECOND)
    assert runs == [runs[0], runs[0] + 5 * SECOND]


@pytest.mark.parametrize(
    ("outcomes", "later"),
    [
        ([Snoozed(delay=SECOND)], True),
        ([Released(reason="drained")], False),
        ([Snoozed(delay=SECOND), Released(reason="drained")], False),
    ],
    ids=["later", "at once", "both"],
)
async def test_others_are_told_whether_all_that_waits_again_is_due_later(
    engine: Engine, outcomes: list[Outcome], later: bool
) -> None:
    stores, hints = engine.bench.stores, engine.bench.hints
    async with engine.running() as worker:
        await stores.submit(*(a_request() for _ in outcomes))
        jobs = await stores.claim(engine.heartbeat.incarnations[0], worker_id=W1, types=("work",))
        hints.clear()
        for job, outcome in zip(jobs, outcomes, strict=True):
            worker.stages.outcomes.put(job, None, outcome, engine.bench.clock.monotonic())
        await engine.settle()
    assert [(set(hint.queues), hint.later) for hint in hints] == [({"default"}, later)]


def a_suspect() -> ClaimedJob:
    return a_claimed_job(suspect=True, worker_deaths=1, started_at=None)
