"""Jobs as commands change them."""

import asyncio
from datetime import timedelta

import attrs

from schedora.application.ports.jobs import NewJob, Submission
from schedora.domain.ids import JobId, JsonText, TenantId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.job_request import LATEST
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, Succeeded
from schedora.domain.retry import RetryKind, RetryPolicy
from schedora.domain.trace import TraceContext
from tests.builders import HOUR, TRACE, a_job_id, a_new_job, a_request
from tests.contract.stores import Stores


async def add(stores: Stores, *jobs: NewJob) -> list[Submission]:
    async with stores.units.begin() as unit:
        return await unit.jobs.add(jobs)


async def test_new_job_is_stamped_by_the_store(stores: Stores) -> None:
    before = await stores.now()
    new = a_new_job()
    [submission] = await add(stores, new)
    job = submission.job
    assert submission.created
    assert submission.same_request
    assert before <= job.created_at <= await stores.now()
    assert job.scheduled_at == job.created_at
    assert job == Job.submitted(new.request, job_id=new.job_id, trace=TRACE, now=job.created_at)
    assert await stores.job(new.job_id) == job


async def test_every_field_comes_back_as_it_was_given(stores: Stores) -> None:
    workflow_id = await stores.workflow()
    cause = await stores.submit_one(a_request(workflow_id=workflow_id))
    request = a_request(
        type="ж" * 200,
        payload=JsonText('{"a":1.5,"b":[{"ключ":"значение"},null,true],"emoji":"\\u2028😀"}'),
        idempotency_key="k" * 255,
        priority=10,
        queue="очередь 'with' \"quotes\" \\ and %s {}",
        scheduled_at=LATEST - timedelta(microseconds=1),
        retry=RetryPolicy(
            kind=RetryKind.JITTER,
            max_retries=100,
            base=timedelta(microseconds=1),
            max_delay=timedelta(days=366),
        ),
        timeout=timedelta(microseconds=1),
        workflow_id=workflow_id,
        key="ключ",
        depends_on=(cause.job_id,),
    )
    trace = TraceContext(trace_id="f" * 32, span_id="1" * 16, sampled=False)
    new = a_new_job(request, trace=trace, waits_for=1)
    await add(stores, new)
    job = await stores.job(new.job_id)
    assert job.request == request
    assert (job.trace, job.waits_for, job.scheduled_at) == (trace, 1, request.scheduled_at)


async def test_answers_come_in_the_order_given(stores: Stores) -> None:
    taken = a_new_job(a_request(idempotency_key="taken"))
    await add(stores, taken)
    batch = [a_new_job(a_request(idempotency_key=key)) for key in ("c", "taken", "a", None, "b")]  # fmt: skip
    answers = await add(stores, *reversed(batch))
    assert [answer.created for answer in answers] == [True, True, True, False, True]
    assert [answer.job.request.idempotency_key for answer in answers] == ["b", None, "a", "taken", "c"]


async def test_taken_key_finds_the_job_and_stores_nothing(stores: Stores) -> None:
    first = a_new_job(a_request(idempotency_key="k"))
    await add(stores, first)
    again = a_new_job(a_request(idempotency_key="k"))
    [found] = await add(stores, again)
    assert (found.created, found.same_request, found.job.job_id) == (False, True, first.job_id)
    [found] = await add(stores, a_new_job(a_request(idempotency_key="k", priority=9)))
    assert (found.created, found.same_request, found.job.request.priority) == (False, False, 5)
    assert await stores.job_reader.get(again.job_id) is None


async def test_key_that_comes_twice_in_a_batch_is_found_the_second_time(stores: Stores) -> None:
    one, same, different, other = (
        a_new_job(a_request(idempotency_key="k")),
        a_new_job(a_request(idempotency_key="k")),
        a_new_job(a_request(idempotency_key="k", queue="q2")),
        a_new_job(a_request(idempotency_key="o")),
    )
    answers = await add(stores, one, same, different, other)
    assert [(answer.job.job_id, answer.created, answer.same_request) for answer in answers] == [
        (one.job_id, True, True),
        (one.job_id, False, True),
        (one.job_id, False, False),
        (other.job_id, True, True),
    ]
    assert len(await stores.claim(await stores.worker())) == 2


async def test_found_job_is_told_as_it_is_now(stores: Stores) -> None:
    await add(stores, a_new_job(a_request(idempotency_key="k")))
    [claim] = await stores.claim(await stores.worker())
    [found] = await add(stores, a_new_job(a_request(idempotency_key="k")))
    assert found.job == await stores.job(claim.job_id)
    assert found.job.status is JobState.RUNNING


async def test_jobs_without_key_are_never_the_same(stores: Stores) -> None:
    answers = await add(stores, a_new_job(), a_new_job())
    assert [answer.created for answer in answers] == [True, True]


async def test_tenants_have_keys_of_their_own(stores: Stores) -> None:
    request = a_request(idempotency_key="k")
    answers = await add(stores, a_new_job(request), a_new_job(request, tenant_id=TenantId(2)))
    assert [answer.created for answer in answers] == [True, True]
    assert (await stores.job(answers[1].job.job_id)).tenant_id == 2


async def test_rivals_for_one_key_get_one_job(stores: Stores) -> None:
    request = a_request(idempotency_key="k")
    rivals = await asyncio.gather(*(add(stores, a_new_job(request)) for _ in range(4)))
    answers = [answer for [answer] in rivals]
    assert sorted(answer.created for answer in answers) == [False, False, False, True]
    assert len({answer.job.job_id for answer in answers}) == 1


async def test_nothing_is_left_of_a_unit_that_failed(stores: Stores) -> None:
    new = a_new_job(a_request(idempotency_key="k", queue="fresh"))
    async with stores.abandoned_unit() as unit:
        await unit.jobs.add([new])
    assert await stores.job_reader.get(new.job_id) is None
    assert await stores.claim(await stores.worker()) == []
    assert "fresh" not in (await stores.queues.stats()).by_queue
    [answer] = await add(stores, a_new_job(a_request(idempotency_key="k")))
    assert answer.created


async def test_queue_comes_into_being_with_its_first_job(stores: Stores) -> None:
    await stores.submit(a_request(queue="fresh"), a_request(queue="fresh"))
    assert "fresh" in (await stores.queues.stats()).by_queue


async def test_large_batch_is_stored_whole(stores: Stores) -> None:
    batch = [a_new_job(a_request(idempotency_key=str(i))) for i in range(1000)]
    answers = await add(stores, *batch)
    assert [answer.job.job_id for answer in answers] == [new.job_id for new in batch]
    answers = await add(stores, *batch)
    assert not any(answer.created for answer in answers)


async def test_adding_nothing_is_nothing(stores: Stores) -> None:
    async with stores.units.begin() as unit:
        assert await unit.jobs.add([]) == []
        assert await unit.jobs.lock([]) == []
        await unit.jobs.save([])
        await unit.jobs.delete([])
        assert await unit.jobs.complete([]) == set()
        assert await unit.jobs.release([]) == set()
        assert await unit.jobs.downstream([]) == []


async def test_lock_answers_those_that_exist_in_the_order_of_their_ids(stores: Stores) -> None:
    jobs = await stores.submit(*(a_request() for _ in range(4)))
    [held] = await stores.claim(await stores.worker(), limit=1)
    ids = [job.job_id for job in jobs]
    async with stores.units.begin() as unit:
        locked = await unit.jobs.lock([*reversed(ids), a_job_id(), ids[0]])
    assert [job.job_id for job in locked] == ids
    assert [job.lease is not None for job in locked] == [job_id == held.job_id for job_id in ids]


async def test_saved_job_is_read_back_whole(stores: Stores) -> None:
    job = await stores.submit_one(a_request(retry=RetryPolicy(base=timedelta(0))))
    [claim] = await stores.claim(await stores.worker())
    assert await stores.complete(claim, Failed(kind="Oops", message="it failed", traceback="…"))
    canceled = await stores.cancel(job.job_id, "no longer wanted")
    assert await stores.job(job.job_id) == canceled
    requeued = await stores.requeue(job.job_id)
    assert await stores.job(job.job_id) == requeued
    assert requeued.errors == canceled.errors != ()


async def test_canceling_takes_the_job_from_its_holder(stores: Stores) -> None:
    job = await stores.submit_one()
    worker = await stores.worker()
    [claim] = await stores.claim(worker)
    canceled = await stores.cancel(job.job_id)
    assert canceled.lease is None
    assert await stores.job_queue.held(worker.incarnation) == frozenset()
    assert not await stores.complete(claim, Succeeded())
    assert await stores.job(job.job_id) == canceled


async def test_job_saved_with_new_waits_is_claimable_when_they_are_over(stores: Stores) -> None:
    job = await stores.submit_one()
    worker = await stores.worker()
    async with stores.units.begin() as unit:
        [locked] = await unit.jobs.lock([job.job_id])
        await unit.jobs.save([attrs.evolve(locked, waits_for=1)])
    assert await stores.claim(worker) == []
    async with stores.units.begin() as unit:
        [locked] = await unit.jobs.lock([job.job_id])
        await unit.jobs.save([attrs.evolve(locked, waits_for=0, scheduled_at=await unit.now() + HOUR)])
    answer = await stores.ask(worker)
    assert answer.claimed == ()
    assert answer.next_due_at is not None
    async with stores.units.begin() as unit:
        [locked] = await unit.jobs.lock([job.job_id])
        await unit.jobs.save([attrs.evolve(locked, scheduled_at=job.created_at)])
    assert [claim.job_id for claim in await stores.claim(worker)] == [job.job_id]


async def test_deleted_job_frees_its_key_and_its_dependencies(stores: Stores) -> None:
    workflow_id, (a, b, c) = await a_chain(stores)
    for job_id in (a, b):
        await stores.cancel(job_id)
    async with stores.units.begin() as unit:
        await unit.workflows.lock([workflow_id])
        await unit.jobs.lock([b])
        await unit.jobs.delete([b])
    assert await stores.job_reader.get(b) is None
    assert (await stores.job(c)).request.depends_on == ()
    async with stores.units.begin() as unit:
        assert await unit.jobs.downstream([a]) == []
    shape = await stores.workflow_reader.jobs(workflow_id)
    assert shape.depends_on == {a: (), c: ()}
    [answer] = await add(stores, a_new_job(a_request(idempotency_key="b")))
    assert answer.created


async def a_chain(stores: Stores) -> tuple[WorkflowId, tuple[JobId, JobId, JobId]]:
    """a, b that waits for it, c that waits for b; each with its name as its key."""
    workflow_id = await stores.workflow()
    made: list[JobId] = []
    for name in "abc":
        request = a_request(
            workflow_id=workflow_id, key=name, idempotency_key=name, depends_on=tuple(made[-1:])
        )
        made.append((await stores.submit_one(request, waits_for=len(made[-1:]))).job_id)
    a, b, c = made
    return workflow_id, (a, b, c)


async def test_complete_accepts_those_whose_lease_lives(stores: Stores) -> None:
    workflow_id = await stores.workflow()
    await stores.submit(*(a_request(workflow_id=workflow_id) for _ in range(3)))
    claims = await stores.claim(await stores.worker())
    await stores.cancel(claims[0].job_id)
    completions = [await stores.settle(claim, Succeeded(result=JsonText("1"))) for claim in claims]
    async with stores.units.begin() as unit:
        accepted = await unit.jobs.complete(completions)
        assert accepted == {claims[1].lease_id, claims[2].lease_id}
        [seen] = await unit.jobs.lock([claims[1].job_id])
        assert seen.status is JobState.SUCCESS
    assert (await stores.job(claims[2].job_id)).result == "1"


async def test_completion_rolled_back_leaves_the_lease(stores: Stores) -> None:
    await stores.submit(a_request())
    worker = await stores.worker()
    [claim] = await stores.claim(worker)
    completion = await stores.settle(claim, Succeeded())
    async with stores.abandoned_unit() as unit:
        assert await unit.jobs.complete([completion]) == {claim.lease_id}
    assert await stores.job_queue.held(worker.incarnation) == {claim.lease_id}
    assert await stores.complete(claim, Succeeded())


async def test_dependant_is_released_by_the_last_of_its_causes(stores: Stores) -> None:
    workflow_id = await stores.workflow()
    causes = await stores.submit(*(a_request(type="cause", workflow_id=workflow_id) for _ in range(3)))
    ids = [cause.job_id for cause in causes]
    effect = await stores.submit_one(
        a_request(workflow_id=workflow_id, depends_on=tuple(ids), queue="effects"), waits_for=3
    )
    worker = await stores.worker()
    for released, left, queues in (([ids[0]], 2, set()), (ids[1:], 0, {"effects"})):
        assert await stores.claim(worker) == []
        async with stores.units.begin() as unit:
            await unit.workflows.lock([workflow_id])
            assert await unit.jobs.release(released) == queues
        assert (await stores.job(effect.job_id)).waits_for == left
    assert [claim.job_id for claim in await stores.claim(worker)] == [effect.job_id]


async def test_release_reaches_every_dependant_and_no_further(stores: Stores) -> None:
    workflow_id, (a, b, c) = await a_chain(stores)
    twin = await stores.submit_one(
        a_request(workflow_id=workflow_id, depends_on=(a,), scheduled_at=await stores.now() + HOUR),
        waits_for=1,
    )
    async with stores.units.begin() as unit:
        await unit.workflows.lock([workflow_id])
        assert await unit.jobs.release([a]) == {"default"}
    waits = [(await stores.job(job_id)).waits_for for job_id in (b, twin.job_id, c)]
    assert waits == [0, 0, 1]
    claims = await stores.claim(await stores.worker())
    assert {claim.job_id for claim in claims} == {a, b}, "released before its time"


async def test_release_does_not_wake_what_was_canceled(stores: Stores) -> None:
    workflow_id, (a, b, _) = await a_chain(stores)
    await stores.cancel(b)
    async with stores.units.begin() as unit:
        await unit.workflows.lock([workflow_id])
        assert await unit.jobs.release([a]) == set()
    job = await stores.job(b)
    assert (job.status, job.waits_for) == (JobState.CANCELED, 0)
    claims = await stores.claim(await stores.worker())
    assert [claim.job_id for claim in claims] == [a]


async def test_downstream_is_all_that_waits_and_has_not_ended(stores: Stores) -> None:
    workflow_id, (a, b, c) = await a_chain(stores)
    d = (await stores.submit_one(a_request(workflow_id=workflow_id, depends_on=(a, c)), waits_for=2)).job_id

    async def downstream(*job_ids: JobId) -> list[JobId]:
        async with stores.units.begin() as unit:
            await unit.workflows.lock([workflow_id])
            return [job.job_id for job in await unit.jobs.downstream(job_ids)]

    assert await downstream(a) == [b, c, d]
    assert await downstream(c, b) == [c, d]
    assert await downstream(d) == []
    await stores.cancel(b)
    assert await downstream(a) == [c, d]


async def test_dependants_are_seen_within_the_unit_that_made_them(stores: Stores) -> None:
    workflow_id = await stores.workflow()
    cause = a_new_job(a_request(workflow_id=workflow_id))
    effect = a_new_job(a_request(workflow_id=workflow_id, depends_on=(cause.job_id,)), waits_for=1)
    async with stores.units.begin() as unit:
        await unit.workflows.lock([workflow_id])
        await unit.jobs.add([cause, effect])
        assert [job.job_id for job in await unit.jobs.downstream([cause.job_id])] == [effect.job_id]
        assert await unit.jobs.release([cause.job_id]) == {"default"}
    assert (await stores.job(effect.job_id)).trace == TRACE
    assert len(await stores.claim(await stores.worker())) == 2
