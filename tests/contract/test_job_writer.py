"""Where single jobs come in."""

import asyncio
from contextlib import AsyncExitStack

from schedora.application.ports.wakeup import Hint, SubscriptionFilter
from tests.builders import a_new_job, a_request
from tests.contract.listener import Listener
from tests.contract.stores import Stores


async def test_jobs_are_stored_once_it_returns_and_claimable(stores: Stores) -> None:
    jobs = [a_new_job(a_request(queue=queue, priority=priority)) for queue, priority in [("a", 1), ("b", 9)]]
    submissions = await stores.job_writer.add(jobs)
    assert [(one.created, one.job_id) for one in submissions] == [(True, job.job_id) for job in jobs]
    for submission in submissions:
        assert await stores.job(submission.job_id) == submission.job
    claims = await stores.claim(await stores.worker())
    assert [claim.job_id for claim in claims] == [jobs[1].job_id, jobs[0].job_id]


async def test_a_hint_tells_of_what_is_new(stores: Stores) -> None:
    listeners = {queue: Listener() for queue in ("alone", "at once", "a", "b")}
    async with AsyncExitStack() as stack:
        for queue, listener in listeners.items():
            subscribing = stores.wakeup.subscribe(listener, SubscriptionFilter(queues=(queue,)))
            (await stack.enter_async_context(subscribing)).attend(owner=None, idle=True)
        await stores.job_writer.add([a_new_job(a_request(queue="alone"))])
        await stores.job_writer.add([a_new_job(a_request(queue="at once"))])
        await stores.job_writer.add([a_new_job(a_request(queue=queue)) for queue in ("a", "b")])
        for queue, listener in listeners.items():
            await listener.until(lambda heard, queue=queue: queue in heard.queues)  # type: ignore[misc]


async def test_lone_job_is_leased_to_who_waits_for_it_or_anybodys_and_told_either_way(stores: Stores) -> None:
    waiting, other = await stores.worker(), await stores.worker(worker_id="other")
    await stores.submit_one(a_request(queue="a", type="of nobody"))  # so that the queue is known
    listener = Listener()
    async with stores.wakeup.subscribe(
        listener, SubscriptionFilter(queues=("a",), types=("work",))
    ) as subscription:
        subscription.attend(owner=waiting.incarnation, idle=True, room=10)
        for _ in range(30):
            listener.heard, listener.matched = Hint(), []
            [submission] = await stores.job_writer.add([a_new_job(a_request(queue="a"))])
            leased = await stores.job_queue.claims(waiting.incarnation)
            claimed = await stores.claim(other)
            assert [job.job_id for job in (*leased, *claimed)] == [submission.job_id]
            await listener.until(lambda heard: bool(listener.matched or (claimed and "a" in heard.queues)))  # noqa: B023
            assert listener.matched == leased
            assert submission.job.created_at == (await stores.job(submission.job_id)).created_at
            await stores.cancel(submission.job_id)


async def test_taken_keys_find_their_jobs_and_the_others_are_stored(stores: Stores) -> None:
    owner = await stores.submit_one(a_request(idempotency_key="taken"))
    given = [("new", 5), ("taken", 5), (None, 5), ("taken", 6), ("new", 5)]
    jobs = [a_new_job(a_request(idempotency_key=key, priority=priority)) for key, priority in given]
    answers = await stores.job_writer.add(jobs)
    assert [(one.job_id, one.created, one.same_request) for one in answers] == [
        (jobs[0].job_id, True, True),
        (owner.job_id, False, True),
        (jobs[2].job_id, True, True),
        (owner.job_id, False, False),
        (jobs[0].job_id, False, True),
    ]
    assert answers[1].job == owner
    assert len(await stores.claim(await stores.worker())) == 3


async def test_rivals_for_the_same_keys_get_the_same_jobs(stores: Stores) -> None:
    keys = [f"k{number}" for number in range(20)]
    rivals = await asyncio.gather(
        *(
            stores.job_writer.add([a_new_job(a_request(idempotency_key=key)) for key in keys[::step]])
            for step in (1, -1, 1, -1)
        )
    )
    owners = [{one.job.request.idempotency_key: one.job_id for one in answers} for answers in rivals]
    assert all(owner == owners[0] for owner in owners)
    assert sum(one.created for answers in rivals for one in answers) == len(keys)
