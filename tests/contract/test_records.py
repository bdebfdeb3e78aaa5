"""The records of jobs and workflows that have ended: removed once they have been kept for long enough."""

from datetime import timedelta
from itertools import count

import attrs
import pytest

from schedora.application.ports.workflows import CountChange
from schedora.domain.ids import JobId, WorkflowId, uuid7
from schedora.domain.job import Job
from schedora.domain.job_request import JobRequest
from schedora.domain.job_state import ENDED, JobState
from schedora.domain.outcome import Failed, Outcome, Succeeded
from schedora.domain.retention import QueueRetention, Retention
from tests.builders import HOUR, a_new_job, a_request
from tests.contract.situations import LATER
from tests.contract.stores import Stores

S = JobState

NO_TIME = timedelta(0)
AT_ONCE = Retention(success=NO_TIME, canceled=NO_TIME, dead=NO_TIME)
AN_HOUR = Retention(success=HOUR, canceled=HOUR, dead=HOUR)
HOPELESS = Failed(kind="Oops", message="no", retryable=False)
LONG_AGO = count(1_600_000_000_000)
"""Ids are as old as what they name; those of other tests are from the future."""


async def submit(stores: Stores, *requests: JobRequest, waits_for: int = 0) -> list[Job]:
    return await stores.add(
        *(
            a_new_job(request, job_id=JobId(uuid7(next(LONG_AGO), 0)), waits_for=waits_for)
            for request in requests
        )
    )


async def ended(stores: Stores, outcome: Outcome | None, **fields: object) -> Job:
    """A job that ended so; canceled when there is no outcome."""
    [job] = await submit(stores, a_request(**fields))
    if outcome is None:
        return await stores.cancel(job.job_id)
    [claim] = await stores.claim(await stores.worker())
    assert await stores.complete(claim, outcome)
    return await stores.job(job.job_id)


async def one_in_each_state(stores: Stores) -> dict[JobState, Job]:
    jobs = [
        await ended(stores, Succeeded()),
        await ended(stores, HOPELESS),
        await ended(stores, None),
        await ended(stores, LATER),
    ]
    await submit(stores, a_request(), a_request())
    jobs += [
        await stores.job(claim.job_id)
        for claim in await stores.claim(await stores.worker(), limit=2, start_count=1)
    ]
    jobs += await submit(stores, a_request())
    return {job.status: job for job in jobs}


async def stored(stores: Stores, jobs: dict[JobState, Job]) -> set[JobState]:
    there = await stores.job_reader.status_summaries([job.job_id for job in jobs.values()])
    return {state for state, job in jobs.items() if job.job_id in there}


async def flow(stores: Stores, *requests: JobRequest, name: str = "flow") -> WorkflowId:
    """A workflow of so many jobs, each behind the one before; with its counts, and old enough."""
    workflow_id = WorkflowId(uuid7(next(LONG_AGO), 0))
    await stores.make_workflow(name, workflow_id=workflow_id)
    causes: tuple[JobId, ...] = ()
    for request in requests:
        wish = attrs.evolve(request, workflow_id=workflow_id, depends_on=causes)
        [job] = await submit(stores, wish, waits_for=len(causes))
        causes = (job.job_id,)
        await counted(stores, CountChange(workflow_id=workflow_id, total=1))
    return workflow_id


async def counted(stores: Stores, change: CountChange) -> None:
    async with stores.units.begin() as unit:
        await unit.workflows.lock([change.workflow_id])
        await unit.workflows.count([change], at=await unit.now())


async def run_next(stores: Stores, workflow_id: WorkflowId) -> JobId:
    """The next job of the workflow has run, and whatever waited for it goes on."""
    [claim] = await stores.claim(await stores.worker(), limit=1)
    assert claim.workflow_id == workflow_id
    completion = await stores.settle(claim, Succeeded())
    async with stores.units.begin() as unit:
        await unit.workflows.lock([workflow_id])
        await unit.jobs.complete([completion])
        await unit.jobs.release([claim.job_id])
        await unit.workflows.count([CountChange(workflow_id=workflow_id, succeeded=1)], at=await unit.now())
    return claim.job_id


async def amounts(stores: Stores, queue: str = "default") -> dict[JobState, int]:
    found = (await stores.queues.stats()).by_queue.get(queue)
    return dict(found.by_status) if found else {}


async def test_what_has_ended_goes_and_what_goes_on_stays(stores: Stores) -> None:
    jobs = await one_in_each_state(stores)
    assert len(jobs) == 7
    pruned = await stores.records.prune_jobs(AT_ONCE, limit=10)
    assert (pruned.jobs, pruned.workflows, pruned.more) == (3, 0, False)
    assert await stored(stores, jobs) == set(jobs) - ENDED
    assert await amounts(stores) == {S.PENDING: 1, S.SCHEDULED: 1, S.RUNNING: 1, S.RETRYING: 1}
    assert (await stores.records.prune_jobs(AT_ONCE, limit=10)).jobs == 0


@pytest.mark.parametrize(
    ("retention", "gone"),
    [
        (AN_HOUR, set()),
        (attrs.evolve(AN_HOUR, success=NO_TIME), {S.SUCCESS}),
        (attrs.evolve(AN_HOUR, canceled=NO_TIME), {S.CANCELED}),
        (attrs.evolve(AN_HOUR, dead=NO_TIME), {S.DEAD}),
    ],
)
async def test_each_ending_has_a_time_of_its_own(
    stores: Stores, retention: Retention, gone: set[JobState]
) -> None:
    jobs = await one_in_each_state(stores)
    assert (await stores.records.prune_jobs(retention, limit=10)).jobs == len(gone)
    assert await stored(stores, jobs) == set(jobs) - gone


async def test_a_queue_may_keep_its_own_for_longer(stores: Stores) -> None:
    await stores.queues.set_retention("audit", QueueRetention(success=HOUR))
    kept = await ended(stores, Succeeded(), queue="audit")
    dead = await ended(stores, HOPELESS, queue="audit")
    other = await ended(stores, Succeeded())
    assert (await stores.records.prune_jobs(AT_ONCE, limit=10)).jobs == 2
    assert await stores.job_reader.ended([kept.job_id, dead.job_id, other.job_id])
    assert await stores.job_reader.get(kept.job_id) is not None
    assert await amounts(stores, "audit") == {S.SUCCESS: 1}


async def test_a_queue_may_keep_its_own_for_shorter(stores: Stores) -> None:
    minute = timedelta(minutes=1)
    await stores.queues.set_retention("logs", QueueRetention(success=minute))
    await submit(stores, *(a_request(queue=queue) for queue in ("logs", "logs", "default")))
    claims = await stores.claim(await stores.worker())
    ages = dict(zip([claim.job_id for claim in claims], (2 * minute, NO_TIME, 2 * minute), strict=True))
    for claim in claims:
        completion = await stores.settle(claim, Succeeded())
        ended_at = completion.ended_at - ages[claim.job_id]
        await stores.sync(completions=[attrs.evolve(completion, started_at=ended_at, ended_at=ended_at)])
    assert (await stores.records.prune_jobs(AN_HOUR, limit=10)).jobs == 1
    assert await stores.job_reader.get(claims[0].job_id) is None
    assert [await stores.job(claim.job_id) for claim in claims[1:]]


async def test_a_batch_has_a_limit_and_the_rest_comes_later(stores: Stores) -> None:
    jobs = [await ended(stores, None) for _ in range(5)]
    batches = [await stores.records.prune_jobs(AT_ONCE, limit=2) for _ in range(4)]
    assert [batch.jobs for batch in batches] == [2, 2, 1, 0]
    assert [batch.more for batch in batches] == [True, True, False, False]
    assert [await stores.job_reader.get(job.job_id) for job in jobs] == [None] * 5
    assert await amounts(stores) == {}


async def test_what_ends_among_the_old_is_found_the_next_time_round(stores: Stores) -> None:
    waiting, *_ = await submit(stores, a_request())
    for _ in range(3):
        await ended(stores, None)
        await stores.records.prune_jobs(AT_ONCE, limit=1)
    await stores.cancel(waiting.job_id)
    pruned = [await stores.records.prune_jobs(AT_ONCE, limit=1) for _ in range(3)]
    assert sum(batch.jobs for batch in pruned) == 1
    assert await stores.job_reader.get(waiting.job_id) is None


async def test_an_idempotency_key_is_held_as_long_as_its_record(stores: Stores) -> None:
    first = await ended(stores, None, idempotency_key="once")
    await stores.records.prune_jobs(AN_HOUR, limit=10)
    [found] = await submit(stores, a_request(idempotency_key="once"))
    assert found.job_id == first.job_id
    await stores.records.prune_jobs(AT_ONCE, limit=10)
    [made] = await submit(stores, a_request(idempotency_key="once"))
    assert made.job_id != first.job_id


async def test_a_workflow_goes_whole_and_not_before_it_has_ended(stores: Stores) -> None:
    workflow_id = await flow(stores, a_request(), a_request())
    jobs = [await run_next(stores, workflow_id)]
    assert (await stores.records.prune_jobs(AT_ONCE, limit=10)).jobs == 0
    assert (await stores.records.prune_workflows(AT_ONCE, limit=10)).workflows == 0
    jobs.append(await run_next(stores, workflow_id))
    assert (await stores.records.prune_jobs(AT_ONCE, limit=10)).jobs == 0
    assert (await stores.records.prune_workflows(AN_HOUR, limit=10)).workflows == 0
    pruned = await stores.records.prune_workflows(AT_ONCE, limit=10)
    assert (pruned.jobs, pruned.workflows, pruned.more) == (2, 1, False)
    assert await stores.workflow_reader.get(workflow_id) is None
    assert [await stores.job_reader.get(job_id) for job_id in jobs] == [None, None]
    async with stores.units.begin() as unit:
        assert await unit.jobs.downstream(jobs) == []
    assert await amounts(stores) == {}
    await stores.make_workflow("flow")  # its name is free again


async def test_a_workflow_stays_with_the_job_that_is_kept_longest(stores: Stores) -> None:
    await stores.queues.set_retention("audit", QueueRetention(success=HOUR))
    workflow_id = await flow(stores, a_request(), a_request(queue="audit"))
    other_id = await flow(stores, a_request(), name="other")
    for owner in (workflow_id, workflow_id, other_id):
        await run_next(stores, owner)
    pruned = await stores.records.prune_workflows(AT_ONCE, limit=10)
    assert (pruned.jobs, pruned.workflows) == (1, 1)
    assert await stores.workflow_reader.get(other_id) is None
    assert len((await stores.workflow_reader.jobs(workflow_id)).jobs) == 2
    assert await amounts(stores) == {S.SUCCESS: 1}
    assert await amounts(stores, "audit") == {S.SUCCESS: 1}


async def test_an_empty_workflow_goes_once_it_was_canceled(stores: Stores) -> None:
    workflow_id = await flow(stores)
    assert (await stores.records.prune_workflows(AT_ONCE, limit=10)).workflows == 0
    async with stores.units.begin() as unit:
        await unit.workflows.lock([workflow_id])
        now = await unit.now()
        await unit.workflows.set_canceled(workflow_id, now)
        await unit.workflows.count([CountChange(workflow_id=workflow_id)], at=now)
    kept = attrs.evolve(AT_ONCE, canceled=HOUR)
    assert (await stores.records.prune_workflows(kept, limit=10)).workflows == 0
    assert (await stores.records.prune_workflows(AT_ONCE, limit=10)).workflows == 1
    assert await stores.workflow_reader.get(workflow_id) is None


async def test_a_batch_of_workflows_has_about_so_many_jobs(stores: Stores) -> None:
    for name in "abcd":
        workflow_id = await flow(stores, a_request(), a_request(), name=name)
        for _ in range(2):
            await run_next(stores, workflow_id)
    batches = [await stores.records.prune_workflows(AT_ONCE, limit=limit) for limit in (1, 3, 3, 3)]
    assert [(batch.workflows, batch.jobs) for batch in batches] == [(1, 2), (2, 4), (1, 2), (0, 0)]
    assert [batch.more for batch in batches] == [True, True, False, False]
