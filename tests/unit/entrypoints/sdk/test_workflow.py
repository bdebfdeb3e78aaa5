"""Building workflows."""

from uuid import uuid4

import pytest

from schedora import JobState, Schedora, WorkflowState
from schedora.application.errors import Conflict, NameTaken, TooLarge
from schedora.domain.errors import CycleFound, DuplicateKey, InvalidField, UnknownKey
from tests.unit.entrypoints.sdk.doors import Doors


async def test_a_workflow_is_stored_with_its_edges(app: Schedora) -> None:
    flow = app.workflow("order-42", description="an order", config={"shop": 1})
    assert flow.name == "order-42"
    first = flow.add(app.prepare("echo", {"a": 1}), key="first")
    second = flow.add(app.prepare("echo"), key="second", after=[first])
    flow.add(app.prepare("echo"), key="third", after=[first, second])
    run = await flow.submit()

    assert (run.name, run.status, list(run.jobs)) == (
        "order-42",
        WorkflowState.PENDING,
        ["first", "second", "third"],
    )
    assert run.jobs["first"].workflow_id == run.workflow_id
    workflow = await app.get_workflow(run.workflow_id)
    assert (workflow.description, workflow.config, workflow.total_jobs) == ("an order", {"shop": 1}, 3)
    ids = {key: job.job_id for key, job in run.jobs.items()}
    assert set(workflow.edges) == {
        (ids["first"], ids["second"]),
        (ids["first"], ids["third"]),
        (ids["second"], ids["third"]),
    }
    assert workflow.job("first").payload == {"a": 1}
    with pytest.raises(KeyError):
        workflow.job("fourth")


def test_a_step_without_a_key_is_called_by_its_type(app: Schedora) -> None:
    flow = app.workflow("w")
    keys = [flow.add(app.prepare("echo")).key for _ in range(3)]
    assert keys == ["echo", "echo-2", "echo-3"]
    assert flow.add(app.prepare("fail")).key == "fail"


async def test_steps_may_be_named_by_their_keys_and_before_they_are_added(app: Schedora) -> None:
    flow = app.workflow("w")
    flow.add(app.prepare("echo"), key="later", after="sooner")
    sooner = flow.add(app.prepare("echo"), key="sooner")
    flow.add(app.prepare("echo"), key="last", after=sooner)
    run = await flow.submit()
    assert run.jobs["later"].depends_on == (run.jobs["sooner"].job_id,)
    assert run.jobs["last"].depends_on == (run.jobs["sooner"].job_id,)


async def test_a_graph_that_can_t_be_satisfied_is_refused(app: Schedora) -> None:
    circle = app.workflow("circle")
    circle.add(app.prepare("echo"), key="a", after=["b"])
    circle.add(app.prepare("echo"), key="b", after=["a"])
    with pytest.raises(CycleFound, match=r"a -> b -> a|b -> a -> b"):
        await circle.submit()
    dangling = app.workflow("dangling")
    dangling.add(app.prepare("echo"), key="a", after=["nowhere"])
    with pytest.raises(UnknownKey, match="nowhere"):
        await dangling.submit()
    with pytest.raises(DuplicateKey):
        dangling.add(app.prepare("echo"), key="a")


async def test_a_name_is_taken_once(app: Schedora) -> None:
    await app.workflow("w").submit()
    with pytest.raises(NameTaken):
        await app.workflow("w").submit()
    with pytest.raises(InvalidField, match="name"):
        app.workflow("")


async def test_a_key_that_is_taken_by_another_job_stops_the_whole(app: Schedora, doors: Doors) -> None:
    await app.submit("echo", idempotency_key="k")
    flow = app.workflow("w")
    flow.add(app.prepare("echo"), key="a")
    flow.add(app.prepare("echo", idempotency_key="k"), key="b")
    with pytest.raises(Conflict, match="'k' of step 'b' is taken"):
        await flow.submit()
    page = await doors.system.workflows.page(status=None, name=None, limit=10, after=None)
    assert page.workflows == ()


async def test_documents_have_their_limit(app: Schedora) -> None:
    with pytest.raises(TooLarge, match="config"):
        await app.workflow("w", config={"text": "x" * 2_000_000}).submit()
    flow = app.workflow("w")
    flow.add(app.prepare("echo", {"text": "x" * 2_000_000}), key="big")
    with pytest.raises(TooLarge, match="payload of big"):
        await flow.submit()


def test_a_job_prepared_for_another_workflow_is_refused(app: Schedora) -> None:
    with pytest.raises(InvalidField, match="workflow_id"):
        app.workflow("w").add(app.prepare("echo", workflow_id=uuid4()))


async def test_waiting_for_a_workflow_ends_with_its_last_job(app: Schedora, doors: Doors) -> None:
    flow = app.workflow("w")
    a = flow.add(app.prepare("echo"), key="a")
    flow.add(app.prepare("echo"), key="b", after=[a])
    run = await flow.submit()
    with pytest.raises(TimeoutError, match="PENDING"):
        await run.wait(timeout=0.02)
    await doors.system.cancel_workflow(run.workflow_id)
    ended = await run.wait(timeout=5)
    assert (ended.status, ended.ended, ended.canceled_jobs) == (WorkflowState.CANCELED, True, 2)
    assert [job.status for job in ended.jobs] == [JobState.CANCELED] * 2


async def test_waiting_for_an_empty_workflow_takes_its_time(app: Schedora) -> None:
    run = await app.workflow("w").submit()
    with pytest.raises(TimeoutError, match="PENDING"):
        await app.wait_workflow(run, timeout=0.02)


async def test_a_workflow_may_be_part_of_its_callers_transaction(app: Schedora, doors: Doors) -> None:
    flow = app.workflow("w")
    async with doors.system.units.begin() as unit:
        flow.add(app.prepare("echo", connection=unit))
        run = await flow.submit()
        assert await doors.system.workflows.get(run.workflow_id) is None
    assert (await app.get_workflow(run)).total_jobs == 1
