"""Workflows as they are looked at."""

from functools import partial

import attrs
import pytest

from schedora.application.ports.job_reader import JobPage
from schedora.application.ports.workflow_reader import MOVE_BYTES
from schedora.application.ports.workflows import CountChange
from schedora.domain.ids import JobId, JsonText, LeaseToken, WorkflowId
from schedora.domain.outcome import Failed, Released, Succeeded
from schedora.domain.run_log import RunLog
from schedora.domain.workflow import JobCounts, WorkflowState
from tests.builders import a_request, a_workflow_id
from tests.contract.stores import Stores

W = WorkflowState


async def filled(stores: Stores, name: str, jobs: int = 1) -> WorkflowId:
    workflow_id = await stores.workflow(name)
    async with stores.units.begin() as unit:
        await unit.workflows.lock([workflow_id])
        await unit.workflows.count([CountChange(workflow_id=workflow_id, total=jobs)], at=await unit.now())
    await stores.submit(*(a_request(workflow_id=workflow_id) for _ in range(jobs)))
    return workflow_id


async def counts(stores: Stores, workflow_id: WorkflowId) -> JobCounts:
    workflow = await stores.workflow_reader.get(workflow_id)
    assert workflow is not None
    return workflow.counts


async def found(
    stores: Stores, status: WorkflowState | None = None, name: str | None = None
) -> list[WorkflowId]:
    ids: list[WorkflowId] = []
    after = None
    while True:
        page = await stores.workflow_reader.page(status=status, name=name, limit=2, after=after)
        assert len(page.workflows) <= 2
        ids += [workflow.workflow_id for workflow in page.workflows]
        after = page.next_after
        if after is None:
            return ids
        assert after == ids[-1]


async def test_unknown_workflow_is_none_and_has_no_jobs(stores: Stores) -> None:
    assert await stores.workflow_reader.get(a_workflow_id()) is None
    assert (await stores.workflow_reader.jobs(a_workflow_id())).jobs == ()


async def test_counts_are_those_of_now(stores: Stores) -> None:
    workflow_id = await filled(stores, "flow", jobs=3)
    assert await counts(stores, workflow_id) == JobCounts(total=3)
    worker = await stores.worker()
    first, second = await stores.claim(worker, limit=2, start_count=1)
    assert await counts(stores, workflow_id) == JobCounts(total=3, running=1, begun=True)
    assert await stores.complete(second, Released(reason="draining"))
    assert await stores.complete(first, Succeeded())
    async with stores.units.begin() as unit:
        await unit.workflows.lock([workflow_id])
        change = CountChange(workflow_id=workflow_id, succeeded=1)
        await unit.workflows.count([change], at=await unit.now())
    assert await counts(stores, workflow_id) == JobCounts(total=3, succeeded=1, begun=True)


async def test_begun_stays_when_the_only_claim_was_released(stores: Stores) -> None:
    workflow_id = await filled(stores, "flow")
    [claim] = await stores.claim(await stores.worker())
    assert await stores.complete(claim, Released(reason="draining"))
    assert await counts(stores, workflow_id) == JobCounts(total=1, begun=True)


async def test_jobs_come_in_the_order_of_their_ids(stores: Stores) -> None:
    workflow_id = await filled(stores, "flow", jobs=4)
    shape = await stores.workflow_reader.jobs(workflow_id)
    ids = [job.job_id for job in shape.jobs]
    assert ids == sorted(ids)
    assert shape.depends_on == dict.fromkeys(ids, ())


async def test_pages_are_newest_first_and_complete(stores: Stores) -> None:
    ids = [await stores.workflow(name) for name in "abcde"]
    assert await found(stores) == ids[::-1]
    page = await stores.workflow_reader.page(status=None, name=None, limit=5, after=None)
    assert page.next_after is None


async def test_filter_by_name_means_the_whole_name(stores: Stores) -> None:
    await stores.workflow("flow 1")
    wanted = await stores.workflow("flow")
    assert await found(stores, name="flow") == [wanted]
    assert await found(stores, name="flo") == []


async def brought_to(stores: Stores, status: WorkflowState) -> WorkflowId:
    workflow_id = await filled(stores, status)
    change = CountChange(
        workflow_id=workflow_id,
        succeeded=status is W.SUCCESS,
        failed=status is W.FAILED,
        canceled=status is W.CANCELED,
    )
    async with stores.units.begin() as unit:
        await unit.workflows.lock([workflow_id])
        await unit.workflows.count([change], at=await unit.now())
    return workflow_id


@pytest.mark.parametrize("status", W)
async def test_filter_by_status_is_what_the_domain_calls_it(stores: Stores, status: WorkflowState) -> None:
    running = await brought_to(stores, W.RUNNING)
    await stores.claim(await stores.worker())
    ids = {W.RUNNING: running} | {
        other: await brought_to(stores, other) for other in W if other is not W.RUNNING
    }
    assert await found(stores, status) == [ids[status]]
    assert await found(stores, status, name=status) == [ids[status]]
    workflow = await stores.workflow_reader.get(ids[status])
    assert workflow is not None
    assert workflow.status is status


async def test_many_are_those_that_are_read_one_by_one(stores: Stores) -> None:
    ids = [await filled(stores, name, jobs=2) for name in ("a", "b", "c")]
    await stores.claim(await stores.worker())
    many = await stores.workflow_reader.get_many([a_workflow_id(), *ids[:2]])
    assert many == {workflow_id: await stores.workflow_reader.get(workflow_id) for workflow_id in ids[:2]}
    assert await stores.workflow_reader.get_many([]) == {}


async def test_some_jobs_come_in_the_order_of_their_ids(stores: Stores) -> None:
    workflow_id = await filled(stores, "flow", jobs=5)
    await filled(stores, "other", jobs=1)
    whole = (await stores.workflow_reader.jobs(workflow_id)).jobs
    some_jobs = partial(stores.workflow_reader.some_jobs, limit=3, bytes_max=1_000)
    first = await some_jobs(workflow_id, after=None)
    assert first == JobPage(jobs=whole[:3], next_after=whole[2].job_id)
    assert await some_jobs(workflow_id, after=first.next_after) == JobPage(jobs=whole[3:], next_after=None)
    assert await some_jobs(workflow_id, after=whole[1].job_id) == JobPage(jobs=whole[2:], next_after=None)
    assert await some_jobs(workflow_id, after=whole[-1].job_id) == JobPage(jobs=(), next_after=None)
    assert await some_jobs(a_workflow_id(), after=None) == JobPage(jobs=(), next_after=None)


async def test_some_jobs_are_fewer_where_their_traces_are_large(stores: Stores) -> None:
    workflow_id = await filled(stores, "flow", jobs=5)
    worker = await stores.worker()
    ids = [job.job_id for job in (await stores.workflow_reader.jobs(workflow_id)).jobs]
    left, failed, moved, *_ = await stores.claim(worker, limit=5)
    assert [left.job_id, failed.job_id, moved.job_id] == ids[:3]
    run_log = RunLog(
        job_id=left.job_id,
        lease_token=LeaseToken(1),
        attempt=1,
        worker_id=left.worker_id,
        lines=(JsonText("1" * 9_000),),
        spans=(JsonText("1" * 1_000),),
    )
    await stores.run_logs.keep([run_log, attrs.evolve(run_log, lease_token=LeaseToken(2))])
    assert await stores.complete(left, Succeeded(result=JsonText('{"n": 1}')))
    assert await stores.complete(failed, Failed(kind="Oops", message="m" * 1_000, traceback="t" * 1_000))
    assert await stores.complete(moved, Released(reason="drained"))
    moves = {job_id: len((await stores.job(job_id)).history) for job_id in ids}

    async def told(after: JobId | None, bytes_max: int) -> list[JobId]:
        page = await stores.workflow_reader.some_jobs(workflow_id, limit=9, bytes_max=bytes_max, after=after)
        last = page.jobs[-1].job_id
        assert page.next_after == (last if last < ids[-1] else None)
        assert {(job.request.payload, job.result) for job in page.jobs} == {("{}", None)}
        return [job.job_id for job in page.jobs]

    assert await told(None, 1) == ids[:1]
    assert await told(None, 2_000) == ids[:1]
    assert await told(None, 2_500) == ids[:2]
    assert await told(ids[0], 2_000 + moves[ids[1]] * MOVE_BYTES) == ids[1:2]
    assert await told(ids[1], moves[ids[2]] * MOVE_BYTES) == ids[2:3]
    assert await told(ids[1], moves[ids[2]] * MOVE_BYTES + 1) == ids[2:]
    assert await told(None, 100_000) == ids
