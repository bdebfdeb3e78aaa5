"""Exchanges with the store: how many at a time, and what each of them takes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from schedora.application.context import JobContext
from schedora.application.errors import StoreUnavailable
from schedora.application.pipeline.exchange import UNDER_WAY_MAX, WORTH_A_SECOND
from schedora.application.ports.job_queue import Delivery, Exchanged, JobQueue
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import IncarnationId, LeaseId
from schedora.domain.job_state import JobState
from tests.builders import SECOND, a_request
from tests.unit.application.bench import Bench
from tests.unit.application.pipeline.engine import Engine, Held


class SlowQueue:
    """Passes exchanges on when told to, one by one, in the order in which they came."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self.slow = False
        self.waiting: list[tuple[Delivery, asyncio.Future[BaseException | None]]] = []
        self.most = 0

    async def exchange(self, delivery: Delivery) -> Exchanged:
        if self.slow:
            passed: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
            self.waiting.append((delivery, passed))
            self.most = max(self.most, len(self.waiting))
            if (error := await passed) is not None:
                raise error
        return await self._queue.exchange(delivery)

    async def held(self, owner: IncarnationId) -> frozenset[LeaseId]:
        return await self._queue.held(owner)

    async def claims(self, owner: IncarnationId) -> list[ClaimedJob]:
        return await self._queue.claims(owner)

    def pass_on(self, error: BaseException | None = None) -> Delivery:
        delivery, passed = self.waiting.pop(0)
        passed.set_result(error)
        return delivery

    @property
    def deliveries(self) -> list[Delivery]:
        return [delivery for delivery, _ in self.waiting]


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
        stores.wakeup.ring(queues={"default"})
        await engine.settle()
        yield
        queue.slow = False
        while queue.waiting:
            queue.pass_on()
        await engine.advance(10 * SECOND)
        assert {(await stores.job(job.job_id)).status for job in submitted} == {JobState.SUCCESS}


async def test_little_goes_in_one_exchange_at_a_time(engine: Engine, queue: SlowQueue) -> None:
    async with busy(engine, queue, 3):
        [claim] = queue.deliveries
        assert claim.claim is not None
        queue.pass_on()
        await engine.settle()
        [ended] = queue.deliveries
        assert (len(ended.completions), ended.claim) == (3, None)
    assert queue.most <= UNDER_WAY_MAX


async def test_a_batch_of_completions_does_not_wait_for_the_claim_under_way(
    engine: Engine, queue: SlowQueue
) -> None:
    async with busy(engine, queue, 3 * WORTH_A_SECOND):
        while not any(len(delivery.completions) >= WORTH_A_SECOND for delivery in queue.deliveries):
            assert queue.waiting, "nothing is under way"
            queue.pass_on()
            await engine.settle()
        kinds = [delivery.claim is not None for delivery in queue.deliveries]
        assert kinds.count(True) <= 1, "there is one claim at a time"
        sent = [completion.lease_id for delivery in queue.deliveries for completion in delivery.completions]
        assert len(sent) == len(set(sent)), "what is under way does not go twice"
    assert queue.most <= UNDER_WAY_MAX


async def test_what_was_under_way_when_the_store_went_goes_again(engine: Engine, queue: SlowQueue) -> None:
    async with busy(engine, queue, 3):
        queue.pass_on()
        await engine.settle()
        while queue.waiting:
            queue.pass_on(StoreUnavailable("away"))
            await engine.settle()


async def test_leases_are_checked_only_when_no_exchange_is_under_way(
    engine: Engine, queue: SlowQueue, bench: Bench
) -> None:
    """Else what a claim has just brought would be taken for something that nobody knows of."""
    held = Held()
    engine.handle(held)
    async with engine.running() as worker:
        queue.slow = True
        job = await bench.stores.submit_one(a_request())
        bench.stores.wakeup.ring(queues={"default"})
        await engine.settle()
        await engine.advance(engine.limits.lease_check_idle)
        assert worker.slots.held() == set()
        queue.slow = False
        queue.pass_on()
        await engine.settle()
        assert [context.job_id for context in held.contexts] == [job.job_id]


async def test_defect_in_an_exchange_ends_the_worker(engine: Engine, queue: SlowQueue) -> None:
    engine.handle(short)
    async with engine.running():
        queue.slow = True
        engine.bench.stores.wakeup.ring(queues={"default"})
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
        bench.stores.wakeup.ring(queues={"default"})
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
