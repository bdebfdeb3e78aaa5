"""The worker and its hints: which it lets come, which it follows up, and whom it tells of what it can't take itself."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from schedora.application.context import JobContext
from schedora.application.pipeline.arrivals import MORE_WORK_INTERVAL
from schedora.application.pipeline.claimer import HINT_TAKES_MAX
from schedora.application.pipeline.poll_scheduler import PollPolicy
from schedora.application.ports.job_queue import JobQueue, SyncAnswer, SyncBatch
from schedora.application.ports.metrics import Counter
from schedora.application.ports.wakeup import Hint, SubscriptionFilter
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import IncarnationId, LeaseId
from schedora.domain.job_state import JobState
from tests.builders import HOUR, SECOND, a_request
from tests.unit.application.pipeline.engine import Engine, Held
from tests.unit.application.pipeline.recorded import RecordedWakeup

S = JobState
MAIL = frozenset({"mail"})


class CountedQueue:
    """Counts the claims that it is asked for."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self.claims_made = 0

    async def sync(self, batch: SyncBatch) -> SyncAnswer:
        self.claims_made += batch.claim is not None
        return await self._queue.sync(batch)

    async def held(self, owner: IncarnationId) -> frozenset[LeaseId]:
        return await self._queue.held(owner)

    async def claims(self, owner: IncarnationId) -> list[ClaimedJob]:
        return await self._queue.claims(owner)


@pytest.fixture
def held(engine: Engine) -> Held:
    held = Held()
    engine.handle(held)
    return held


async def test_it_says_what_it_looks_for_and_in_whose_name(engine: Engine, wakeup: RecordedWakeup) -> None:
    engine.handle(Held(), job_type="a")
    engine.handle(Held(), job_type="b")
    engine.queues = ("mail", "bills")
    async with engine.running():
        assert wakeup.subscription.subscription_filter == SubscriptionFilter(
            queues=("mail", "bills"), types=("a", "b")
        )
        assert wakeup.subscription.owner == engine.heartbeat.incarnations[0]


async def test_hints_may_come_while_there_is_room(engine: Engine, wakeup: RecordedWakeup, held: Held) -> None:
    async with engine.running():
        assert wakeup.idle()
        await engine.bench.submit([a_request(queue="mail")])
        wakeup.subscription.deliver(Hint(queues=MAIL))
        assert not wakeup.idle(), "it looks already"
        await engine.settle()
        assert wakeup.idle(), "there is another slot"
        await engine.bench.submit([a_request(queue="mail")])
        wakeup.subscription.deliver(Hint(queues=MAIL))
        await engine.settle()
        assert len(held.contexts) == engine.slots
        assert not wakeup.idle()
        held.let_go()
        await engine.settle()
        assert wakeup.idle()
        assert wakeup.subscription.passed_on == 0


async def test_hint_for_it_alone_that_it_can_not_follow_up_is_passed_on_once(
    engine: Engine, wakeup: RecordedWakeup, held: Held
) -> None:
    await engine.bench.stores.submit(*(a_request() for _ in range(engine.slots)))
    async with engine.running():
        assert len(held.contexts) == engine.slots
        wakeup.subscription.deliver(Hint(queues=MAIL, shared=True))
        await engine.settle()
        assert wakeup.subscription.passed_on == 0, "others heard it"
        wakeup.subscription.deliver(Hint(queues=MAIL))
        await engine.settle()
        assert wakeup.subscription.passed_on == 1
        await engine.advance(60 * SECOND)
        assert wakeup.subscription.passed_on == 1


async def test_hint_that_comes_while_it_looks_is_passed_on_if_that_fills_its_slots(
    engine: Engine, wakeup: RecordedWakeup, held: Held
) -> None:
    async with engine.running():
        await engine.bench.stores.submit(*(a_request() for _ in range(engine.slots)))
        wakeup.subscription.deliver(Hint(queues=MAIL))
        wakeup.subscription.deliver(Hint(queues=MAIL))
        await engine.settle()
        assert len(held.contexts) == engine.slots
        assert wakeup.subscription.passed_on == 1


async def test_hint_is_passed_on_while_the_store_is_away(
    engine: Engine, wakeup: RecordedWakeup, held: Held
) -> None:
    async with engine.running():
        engine.bench.faults.away = True
        wakeup.subscription.deliver(Hint(queues=MAIL))
        await engine.settle()
        assert not wakeup.idle()
        wakeup.subscription.deliver(Hint(queues=MAIL))
        await engine.settle()
        assert wakeup.subscription.passed_on == 1
        engine.bench.faults.away = False
        await engine.advance(10 * SECOND)
        assert wakeup.idle()


async def test_worker_that_drains_passes_hints_on(engine: Engine, wakeup: RecordedWakeup, held: Held) -> None:
    await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        assert wakeup.idle()
        worker.drain()
        await engine.settle()
        assert not wakeup.idle()
        wakeup.subscription.deliver(Hint(queues=MAIL))
        await engine.settle()
        assert wakeup.subscription.passed_on == 1


async def test_job_that_falls_due_while_its_slots_are_full_is_passed_on(
    engine: Engine, wakeup: RecordedWakeup, held: Held
) -> None:
    now = engine.bench.clock.now()
    await engine.bench.stores.submit_one(a_request(scheduled_at=now + 10 * SECOND))
    async with engine.running():
        await engine.bench.stores.submit(*(a_request() for _ in range(engine.slots)))
        engine.worker.stages.poll_scheduler.due_at(engine.bench.clock.monotonic() + 10 * SECOND)
        wakeup.subscription.deliver(Hint(queues=MAIL))
        await engine.settle()
        assert len(held.contexts) == engine.slots
        engine.worker.stages.poll_scheduler.due_at(10 * SECOND)  # as one of its own that waits again
        await engine.advance(9 * SECOND)
        assert wakeup.subscription.passed_on == 0
        await engine.advance(SECOND)
        assert wakeup.subscription.passed_on == 1


async def test_when_hints_cease_it_looks_at_once_and_often(
    engine: Engine, wakeup: RecordedWakeup, held: Held
) -> None:
    async with engine.running():
        await engine.advance(HOUR)
        wakeup.subscription.healthy = False
        wakeup.subscription.deliver(Hint())
        await engine.settle()
        job = await engine.bench.stores.submit_one()
        await engine.advance(PollPolicy().poll_alone * 1.2)
        assert (await engine.bench.stores.job(job.job_id)).status is S.RUNNING


async def test_idle_worker_asks_once_in_several_seconds(
    engine: Engine, wakeup: RecordedWakeup, held: Held
) -> None:
    engine.queue = counted = CountedQueue(engine.queue)
    async with engine.running():
        await engine.advance(60 * SECOND)
        before = counted.claims_made
        await engine.advance(HOUR)
        assert 3600 / 12 <= counted.claims_made - before <= 3600 / 8


async def test_worker_that_finds_all_it_can_take_wakes_others(
    engine: Engine, wakeup: RecordedWakeup, held: Held
) -> None:
    async with engine.running():
        await engine.bench.stores.submit(*(a_request(queue=queue) for queue in ("a", "b", "b")))
        wakeup.subscription.deliver(Hint(queues=MAIL))
        await engine.settle()
        assert wakeup.notified == [({"a", "b"}, True)]
        held.let_go()
        await engine.settle()
        assert wakeup.notified == [({"a", "b"}, True)], "the rest was less than it could take"


async def test_worker_that_is_always_full_says_so_once_in_a_while(
    engine: Engine, wakeup: RecordedWakeup
) -> None:
    async def short(_context: JobContext) -> None:
        await engine.bench.clock.sleep(SECOND / 20)

    engine.handle(short)
    async with engine.running():
        await engine.bench.stores.submit(*(a_request() for _ in range(400)))
        wakeup.subscription.deliver(Hint(queues=MAIL))
        await engine.advance(5 * MORE_WORK_INTERVAL)
        assert 5 <= len(wakeup.notified) <= 7


async def test_one_job_for_one_slot_wakes_one_other_and_that_rarely(
    engine: Engine, wakeup: RecordedWakeup, held: Held
) -> None:
    engine.slots = 1
    held.let_go()
    async with engine.running():
        await engine.advance(HOUR)
        for _ in range(5):
            await engine.bench.stores.submit_one()
            wakeup.subscription.deliver(Hint(queues=MAIL))
            await engine.settle()
        assert len(held.contexts) == 5
        assert wakeup.notified == [({"default"}, False)]


@pytest.mark.parametrize("ago", [SECOND / 2, HINT_TAKES_MAX])
async def test_job_whose_hint_is_on_its_way_is_not_missed(
    engine: Engine, wakeup: RecordedWakeup, held: Held, ago: timedelta
) -> None:
    async with engine.running() as worker:
        await engine.advance(HOUR)
        await engine.advance(worker.stages.poll_scheduler.next_at - engine.bench.clock.monotonic() - ago)
        job = await engine.bench.stores.submit_one()
        await engine.advance(ago)
        assert (await engine.bench.stores.job(job.job_id)).status is S.RUNNING
        assert engine.bench.metrics.counted[Counter.WAKEUPS_MISSED, ""] == 0


async def test_worker_that_was_ended_follows_up_no_hint(
    engine: Engine, wakeup: RecordedWakeup, held: Held
) -> None:
    engine.queue = counted = CountedQueue(engine.queue)
    async with engine.running():
        assert engine.task is not None
        engine.task.cancel()
        await engine.settle()
        before = counted.claims_made
        wakeup.subscription.deliver(Hint(queues=MAIL))
        await engine.settle()
        assert counted.claims_made == before


async def test_of_many_idle_workers_few_look_for_each_job(engine: Engine) -> None:
    """Hints that everybody hears, as by NOTIFY."""

    async def answer(_context: JobContext) -> None: ...

    engine.handle(answer)
    engine.queue = counted = CountedQueue(engine.queue)
    jobs = []
    with ThreadPoolExecutor(1) as threads:
        workers = [asyncio.create_task(engine.build(threads).run()) for _ in range(24)]
        await engine.settle()
        for _ in range(500):
            jobs += await engine.bench.submit([a_request()])
            await engine.settle()
            assert (await engine.bench.stores.job(jobs[-1].job.job_id)).status is S.SUCCESS, "at once"
            await engine.advance(SECOND / 50)
            if len(jobs) == 250:
                counted.claims_made = 0
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    assert counted.claims_made / 250 < 5
