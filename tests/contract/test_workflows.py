"""Workflows as commands change them."""

import attrs
import pytest

from schedora.application.errors import NameTaken
from schedora.application.ports.workflows import CountChange
from schedora.domain.ids import JsonText, TenantId, WorkflowId
from schedora.domain.workflow import JobCounts, Workflow
from tests.builders import HOUR, a_request, a_workflow_id
from tests.contract.stores import Stores


async def workflow_of(stores: Stores, workflow_id: WorkflowId) -> Workflow:
    workflow = await stores.workflow_reader.get(workflow_id)
    assert workflow is not None
    return workflow


async def count(stores: Stores, workflow_id: WorkflowId, **amounts: int) -> Workflow:
    async with stores.units.begin() as unit:
        await unit.workflows.lock([workflow_id])
        await unit.workflows.count([CountChange(workflow_id=workflow_id, **amounts)], at=await unit.now())
    return await workflow_of(stores, workflow_id)


async def test_new_workflow_is_empty_and_stamped_by_the_store(stores: Stores) -> None:
    before = await stores.now()
    workflow = await stores.make_workflow("Ω 'x'", description="d\n", config=JsonText('{"a":[1]}'))
    assert before <= workflow.created_at <= await stores.now()
    assert (workflow.name, workflow.description, workflow.config) == ("Ω 'x'", "d\n", '{"a":[1]}')
    assert (workflow.counts, workflow.completed_at, workflow.canceled_at) == (JobCounts(), None, None)
    assert await workflow_of(stores, workflow.workflow_id) == workflow


async def test_name_is_taken_once_for_each_tenant(stores: Stores) -> None:
    await stores.make_workflow("flow")
    with pytest.raises(NameTaken):
        await stores.make_workflow("flow")
    other = await stores.make_workflow("flow", tenant_id=TenantId(2))
    assert other.tenant_id == 2


async def test_unit_goes_on_after_a_taken_name(stores: Stores) -> None:
    await stores.make_workflow("flow")
    async with stores.units.begin() as unit:
        with pytest.raises(NameTaken):
            await unit.workflows.add(
                workflow_id=a_workflow_id(),
                name="flow",
                description="",
                config=JsonText("{}"),
                tenant_id=TenantId(1),
            )
        assert await unit.workflows.lock([]) == []
    await stores.make_workflow("other")


async def test_name_of_an_abandoned_unit_is_free(stores: Stores) -> None:
    async with stores.abandoned_unit() as unit:
        await unit.workflows.add(
            workflow_id=a_workflow_id(),
            name="flow",
            description="",
            config=JsonText("{}"),
            tenant_id=TenantId(1),
        )
    await stores.make_workflow("flow")


async def test_lock_answers_those_that_exist_in_the_order_of_their_ids(stores: Stores) -> None:
    made = [await stores.make_workflow(name) for name in "abc"]
    ids = [workflow.workflow_id for workflow in made]
    async with stores.units.begin() as unit:
        locked = await unit.workflows.lock([*reversed(ids), a_workflow_id(), ids[1]])
    assert locked == made


async def test_locked_workflow_tells_what_runs(stores: Stores) -> None:
    workflow_id = await stores.workflow()
    await stores.submit(a_request(workflow_id=workflow_id), a_request(workflow_id=workflow_id))
    await stores.claim(await stores.worker(), start_count=1)
    async with stores.units.begin() as unit:
        [workflow] = await unit.workflows.lock([workflow_id])
    assert (workflow.counts.running, workflow.counts.begun) == (1, True)


async def test_lock_jobs_tells_the_whole_graph(stores: Stores) -> None:
    workflow_id = await stores.workflow()
    await stores.submit(a_request())
    a = await stores.submit_one(a_request(workflow_id=workflow_id))
    b = await stores.submit_one(a_request(workflow_id=workflow_id, depends_on=(a.job_id,)), waits_for=1)
    async with stores.units.begin() as unit:
        await unit.workflows.lock([workflow_id])
        shape = await unit.workflows.lock_jobs(workflow_id)
    assert shape.jobs == (a, b)
    assert shape.depends_on == {a.job_id: (), b.job_id: (a.job_id,)}
    assert await stores.workflow_reader.jobs(workflow_id) == shape
    async with stores.units.begin() as unit:
        assert (await unit.workflows.lock_jobs(a_workflow_id())).jobs == ()


async def test_counts_add_up(stores: Stores) -> None:
    workflow_id = await stores.workflow()
    await count(stores, workflow_id, total=5)
    workflow = await count(stores, workflow_id, succeeded=2, canceled=1)
    workflow = await count(stores, workflow_id, failed=1, canceled=-1)
    counts = attrs.evolve(workflow.counts, begun=False)
    assert counts == JobCounts(total=5, succeeded=2, failed=1)


async def test_changes_of_one_batch_add_up(stores: Stores) -> None:
    one, other = await stores.workflow("one"), await stores.workflow("other")
    async with stores.units.begin() as unit:
        await unit.workflows.lock([one, other])
        changes = [
            CountChange(workflow_id=one, total=1),
            CountChange(workflow_id=other, total=2),
            CountChange(workflow_id=one, total=3),
        ]
        await unit.workflows.count(changes, at=await unit.now())
        await unit.workflows.count([], at=await unit.now())
    assert (await workflow_of(stores, one)).counts.total == 4
    assert (await workflow_of(stores, other)).counts.total == 2


async def test_completed_when_its_last_job_ends_and_open_again_with_a_new_one(stores: Stores) -> None:
    workflow_id = await stores.workflow()
    assert (await count(stores, workflow_id, total=2, succeeded=1)).completed_at is None
    done = await count(stores, workflow_id, failed=1)
    assert done.completed_at is not None
    assert (await count(stores, workflow_id)).completed_at == done.completed_at, "the first time counts"
    assert (await count(stores, workflow_id, total=1)).completed_at is None
    again = await count(stores, workflow_id, canceled=1)
    assert again.completed_at is not None
    assert again.completed_at > done.completed_at
    assert (await count(stores, workflow_id, failed=-1)).completed_at is None


async def test_empty_workflow_is_completed_only_when_it_was_canceled(stores: Stores) -> None:
    workflow_id = await stores.workflow()
    assert (await count(stores, workflow_id)).completed_at is None
    async with stores.units.begin() as unit:
        await unit.workflows.lock([workflow_id])
        await unit.workflows.set_canceled(workflow_id, await unit.now())
    assert (await count(stores, workflow_id)).completed_at is not None


async def test_mark_of_cancellation_comes_and_goes(stores: Stores) -> None:
    workflow_id = await stores.workflow()
    at = await stores.now() - HOUR
    for mark in (at, None):
        async with stores.units.begin() as unit:
            await unit.workflows.lock([workflow_id])
            await unit.workflows.set_canceled(workflow_id, mark)
        assert (await workflow_of(stores, workflow_id)).canceled_at == mark
