"""Queues: pausing them, and how full they are."""

from datetime import timedelta

from schedora.domain.ids import WorkerId
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, Succeeded
from schedora.domain.queue import Queue
from schedora.domain.retention import QueueRetention
from schedora.domain.worker import WorkerState
from tests.builders import HOUR, a_request
from tests.contract.situations import LATER
from tests.contract.stores import Stores

S = JobState


async def test_pausing_makes_the_queue_and_twice_changes_nothing(stores: Stores) -> None:
    before = await stores.now()
    paused = await stores.queues.pause("new")
    assert paused.paused_at is not None
    assert before <= paused.paused_at <= await stores.now()
    assert await stores.queues.pause("new") == paused
    assert (await stores.queues.stats()).by_queue["new"].paused


async def test_resuming_ends_the_pause(stores: Stores) -> None:
    await stores.queues.pause("new")
    assert (await stores.queues.resume("new")).paused_at is None
    assert not (await stores.queues.resume("new")).paused
    assert not (await stores.queues.stats()).by_queue["new"].paused


async def test_pause_of_one_queue_leaves_the_others(stores: Stores) -> None:
    await stores.submit(a_request(queue="a"), a_request(queue="b"))
    await stores.queues.pause("a")
    assert [claim.queue for claim in await stores.claim(await stores.worker())] == ["b"]


async def test_pause_outlives_new_jobs(stores: Stores) -> None:
    await stores.queues.pause("a")
    await stores.submit(a_request(queue="a"))
    assert (await stores.queues.stats()).by_queue["a"].paused
    assert await stores.claim(await stores.worker()) == []


async def test_what_a_queue_keeps_outlives_its_pauses_and_is_replaced_whole(stores: Stores) -> None:
    spans = QueueRetention(success=timedelta(minutes=1), dead=timedelta(days=36_500))
    assert await stores.queues.set_retention("new", spans) == Queue(name="new", retention=spans)
    paused = await stores.queues.pause("new")
    assert (paused.paused, paused.retention) == (True, spans)
    assert await stores.queues.resume("new") == Queue(name="new", retention=spans)
    await stores.queues.pause("new")
    other = QueueRetention(canceled=HOUR)
    kept = await stores.queues.set_retention("new", other)
    assert (kept.paused, kept.retention) == (True, other)
    await stores.submit(a_request(queue="plain"))
    by_queue = (await stores.queues.stats()).by_queue
    assert {name: stats.retention for name, stats in by_queue.items()} == {
        "new": other,
        "plain": QueueRetention(),
    }


async def test_stats_of_an_empty_store(stores: Stores) -> None:
    stats = await stores.queues.stats()
    assert (dict(stats.by_queue), stats.unhandled_types) == ({}, ())


async def by_status(stores: Stores, queue: str = "default") -> dict[JobState, int]:
    return dict((await stores.queues.stats()).by_queue[queue].by_status)


async def test_stats_count_each_job_where_it_is(stores: Stores) -> None:
    workflow_id = await stores.workflow()
    worker = await stores.worker()
    await stores.submit(*(a_request() for _ in range(6)))
    claims = await stores.claim(worker, start_count=5)
    assert await by_status(stores) == {S.RUNNING: 5, S.SCHEDULED: 1}
    assert await stores.complete(claims[0], Succeeded())
    assert await stores.complete(claims[1], Failed(kind="Oops", message="no", retryable=False))
    assert await stores.complete(claims[2], LATER)
    await stores.cancel(claims[3].job_id)
    cause = await stores.submit_one(
        a_request(workflow_id=workflow_id, scheduled_at=await stores.now() + HOUR)
    )
    await stores.submit_one(a_request(workflow_id=workflow_id, depends_on=(cause.job_id,)), waits_for=1)
    await stores.submit(a_request(queue="other"))
    assert await by_status(stores) == {
        S.PENDING: 2,
        S.SCHEDULED: 1,
        S.RUNNING: 1,
        S.SUCCESS: 1,
        S.DEAD: 1,
        S.RETRYING: 1,
        S.CANCELED: 1,
    }
    assert await by_status(stores, "other") == {S.PENDING: 1}


async def test_stats_follow_requeues_and_deletions(stores: Stores) -> None:
    jobs = await stores.submit(a_request(), a_request(), a_request())
    for job in jobs:
        await stores.cancel(job.job_id)
    assert await by_status(stores) == {S.CANCELED: 3}
    await stores.requeue(jobs[0].job_id)
    async with stores.units.begin() as unit:
        await unit.jobs.lock([jobs[1].job_id])
        await unit.jobs.delete([jobs[1].job_id])
    assert await by_status(stores) == {S.CANCELED: 1, S.PENDING: 1}


async def test_stats_stay_right_over_many_changes(stores: Stores) -> None:
    worker = await stores.worker()
    for _ in range(3):
        await stores.submit(*(a_request(queue=f"q{i % 2}") for i in range(60)))
        while claims := await stores.claim(worker, limit=7):
            completions = [await stores.settle(claim, Succeeded()) for claim in claims]
            await stores.sync(completions=completions)
            await stores.queues.stats()
    assert await by_status(stores, "q0") == {S.SUCCESS: 90}
    assert await by_status(stores, "q1") == {S.SUCCESS: 90}


async def test_age_of_the_oldest_ready_job(stores: Stores) -> None:
    now = await stores.now()
    await stores.submit(
        a_request(queue="old", scheduled_at=now - 2 * HOUR),
        a_request(queue="old", scheduled_at=now - HOUR, priority=10),
        a_request(queue="later", scheduled_at=now + HOUR),
    )
    stats = (await stores.queues.stats()).by_queue
    assert stats["later"].oldest_ready is None
    assert stats["old"].oldest_ready is not None
    assert 2 * HOUR <= stats["old"].oldest_ready < 2 * HOUR + timedelta(minutes=10)
    await stores.claim(await stores.worker())
    assert (await stores.queues.stats()).by_queue["old"].oldest_ready is None


async def test_types_that_no_live_worker_knows_are_named(stores: Stores) -> None:
    workflow_id = await stores.workflow()
    cause = await stores.submit_one(a_request(type="b", workflow_id=workflow_id))
    await stores.submit(a_request(type="c"), a_request(type="a", scheduled_at=await stores.now() + HOUR))
    await stores.submit_one(
        a_request(type="waits", workflow_id=workflow_id, depends_on=(cause.job_id,)), waits_for=1
    )

    async def unhandled() -> tuple[str, ...]:
        return (await stores.queues.stats()).unhandled_types

    assert await unhandled() == ("a", "b", "c")
    one = await stores.worker(worker_id=WorkerId("one"), types=("a", "x"))
    await stores.worker(worker_id=WorkerId("two"), types=("b",))
    assert await unhandled() == ("c",)
    await stores.workers.set_status([one.incarnation], WorkerState.DRAINING)
    assert await unhandled() == ("c",)
    await stores.workers.set_status([one.incarnation], WorkerState.STALE)
    assert await unhandled() == ("a", "c")
