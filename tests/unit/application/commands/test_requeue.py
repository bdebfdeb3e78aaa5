"""Give ended jobs another life."""

import attrs
import pytest

from schedora.application.commands import requeue as module
from schedora.application.commands.requeue import requeue
from schedora.application.errors import Conflict, NotFound
from schedora.application.ports.job_reader import JobFilter
from schedora.domain.dependency import REQUEUED
from schedora.domain.ids import JobId
from schedora.domain.job_state import REQUEUABLE, JobState
from schedora.domain.outcome import Failed
from schedora.domain.workflow import WorkflowState
from tests.builders import HOUR, a_job_id, a_request
from tests.contract.situations import STATE_OF, Situation, bring_about
from tests.unit.application.bench import DOWN, UP, Bench, OutdatedReader, id_of

S = JobState
FAILED = {Situation.DEAD, Situation.CANCELED}


@pytest.mark.parametrize("situation", sorted(FAILED))
async def test_dead_and_canceled_jobs_wait_again_with_a_new_budget(
    bench: Bench, situation: Situation
) -> None:
    case = await bring_about(bench.stores, situation)
    bench.clock.advance(HOUR)
    bench.hints.clear()
    job = await bench.requeue(case.job.job_id)
    assert (job.status, job.retry_count, job.scheduled_at) == (S.PENDING, 0, bench.clock.now())
    assert (job.errors, job.attempt) == (case.job.errors, case.job.attempt)
    assert job.history[-1].reason == REQUEUED
    assert await bench.stores.job(case.job.job_id) == job
    assert [hint.queues for hint in bench.hints] == [{"default"}]
    assert [claim.job_id for claim in await bench.claim()] == [job.job_id]


@pytest.mark.parametrize("situation", sorted(set(Situation) - FAILED))
async def test_what_has_not_failed_stays_as_it_is(bench: Bench, situation: Situation) -> None:
    case = await bring_about(bench.stores, situation)
    wanted = f"is {STATE_OF[situation]}; only DEAD or CANCELED jobs can be requeued"
    with pytest.raises(Conflict, match=wanted):
        await bench.requeue(case.job.job_id)
    assert await bench.stores.job(case.job.job_id) == case.job


async def test_dead_letters_alone_are_taken_where_that_is_asked_for(bench: Bench) -> None:
    case = await bring_about(bench.stores, Situation.CANCELED)
    with pytest.raises(Conflict, match="is CANCELED; only DEAD jobs can be requeued"):
        await bench.requeue(case.job.job_id, only=frozenset({S.DEAD}))


async def test_unknown_job_is_not_found(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await bench.requeue(a_job_id())
    with pytest.raises(NotFound):
        await bench.delete_dead(a_job_id())


async def test_job_that_vanished_before_its_turn_is_not_found(bench: Bench) -> None:
    case = await bring_about(bench.stores, Situation.DEAD)
    await bench.delete_dead(case.job.job_id)
    outdated = OutdatedReader(bench.store, case.job)
    with pytest.raises(NotFound):
        await attrs.evolve(bench.requeue, reader=outdated)(case.job.job_id)
    with pytest.raises(NotFound):
        await attrs.evolve(bench.delete_dead, reader=outdated)(case.job.job_id)


async def test_what_waited_for_it_waits_again(bench: Bench) -> None:
    flow = await bench.flow(a="", b="a", c="b")
    await bench.run({"a": DOWN})
    assert (await bench.workflow_of(flow)).status is WorkflowState.FAILED
    bench.hints.clear()
    job = await bench.requeue(flow["a"].job_id)
    assert (job.job_id, job.status) == (flow["a"].job_id, S.PENDING)
    assert await bench.states(flow) == dict.fromkeys("abc", S.PENDING)
    workflow = await bench.workflow_of(flow)
    assert (workflow.status, workflow.completed_at, workflow.counts.ended) == (WorkflowState.RUNNING, None, 0)
    await bench.run({"a": UP, "b": UP, "c": UP})
    assert (await bench.workflow_of(flow)).status is WorkflowState.SUCCESS


async def test_job_behind_what_can_not_succeed_is_not_requeued(bench: Bench) -> None:
    flow = await bench.flow(a="", b="a")
    await bench.run({"a": DOWN})
    with pytest.raises(Conflict, match=f"depends on job {flow['a'].job_id}, which is DEAD: requeue that one"):
        await bench.requeue(flow["b"].job_id)
    assert await bench.states(flow) == {"a": S.DEAD, "b": S.CANCELED}


async def test_requeue_opens_a_canceled_workflow_again(bench: Bench) -> None:
    flow = await bench.flow(a="", b="a")
    await bench.cancel_workflow(id_of(flow))
    await bench.requeue(flow["a"].job_id)
    workflow = await bench.workflow_of(flow)
    assert (workflow.canceled_at, workflow.completed_at) == (None, None)
    assert await bench.states(flow) == {"a": S.PENDING, "b": S.CANCELED}, "it was canceled by an operator"
    await bench.submit([a_request(workflow_id=id_of(flow))])


async def test_passed_over_is_what_can_not_be_requeued_where_nobody_insists(bench: Bench) -> None:
    flow = await bench.flow(a="", b="a", c="")
    await bench.run({"a": DOWN, "c": DOWN})
    asked = [flow[key].job_id for key in "bc"]
    changed = await requeue(bench.stores.units, asked, id_of(flow), only=REQUEUABLE, strict=False)
    assert [job.job_id for job in changed] == [flow["c"].job_id]
    assert await bench.states(flow) == {"a": S.DEAD, "b": S.CANCELED, "c": S.PENDING}
    changed = await requeue(bench.stores.units, asked, id_of(flow), only=REQUEUABLE, strict=False)
    assert changed == ()


async def dead(bench: Bench, count: int, **fields: str) -> list[JobId]:
    jobs = await bench.stores.submit(*(a_request(**fields) for _ in range(count)))
    for claim in await bench.claim(limit=count, types=(fields.get("type", "work"),)):
        await bench.stores.complete(claim, DOWN)
    return [job.job_id for job in jobs]


async def test_dead_letter_queue_is_emptied_page_by_page(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    ids = await dead(bench, 5)
    await dead(bench, 1, queue="other")
    bench.hints.clear()
    assert await bench.requeue_dead(JobFilter(queue="default")) == 5
    assert [hint.queues for hint in bench.hints] == [{"default"}] * 3
    assert {(await bench.stores.job(job_id)).status for job_id in ids} == {S.PENDING}
    assert await bench.requeue_dead(JobFilter()) == 1
    assert await bench.requeue_dead(JobFilter()) == 0


async def test_filter_names_the_part_of_the_dead_letters(bench: Bench) -> None:
    await dead(bench, 1, type="letter")
    await dead(bench, 2)
    [job] = await bench.stores.submit(a_request())
    [claim] = await bench.claim()
    await bench.stores.complete(claim, Failed(kind="Other", message="hopeless", retryable=False))
    assert await bench.requeue_dead(JobFilter(error_kind="Other")) == 1
    assert (await bench.stores.job(job.job_id)).status is S.PENDING
    assert await bench.requeue_dead(JobFilter(type="letter")) == 1
    assert await bench.requeue_dead(JobFilter(states=frozenset({S.PENDING}))) == 2, "dead ones, always"


async def test_dead_letters_of_workflows_bring_back_what_waited_for_them(bench: Bench) -> None:
    one, two = await bench.flow("one", a="", b="a"), await bench.flow("two", a="", b="a")
    await bench.run({"a": DOWN})
    await dead(bench, 1)
    assert await bench.requeue_dead(JobFilter()) == 3
    for flow in (one, two):
        assert await bench.states(flow) == {"a": S.PENDING, "b": S.PENDING}


async def test_what_an_operator_canceled_is_no_dead_letter(bench: Bench) -> None:
    case = await bring_about(bench.stores, Situation.CANCELED)
    assert await bench.requeue_dead(JobFilter()) == 0
    assert await bench.stores.job(case.job.job_id) == case.job


async def test_dead_job_is_deleted_for_good(bench: Bench) -> None:
    case = await bring_about(bench.stores, Situation.DEAD)
    await bench.delete_dead(case.job.job_id)
    assert await bench.stores.job_reader.get(case.job.job_id) is None


@pytest.mark.parametrize("situation", sorted(set(Situation) - {Situation.DEAD, Situation.WAITING}))
async def test_no_other_job_is_deleted(bench: Bench, situation: Situation) -> None:
    case = await bring_about(bench.stores, situation)
    with pytest.raises(Conflict, match=f"is {STATE_OF[situation]}; only DEAD jobs can be deleted"):
        await bench.delete_dead(case.job.job_id)
    assert await bench.stores.job(case.job.job_id) == case.job


async def test_job_of_a_workflow_is_not_deleted(bench: Bench) -> None:
    flow = await bench.flow(a="")
    await bench.run({"a": DOWN})
    with pytest.raises(Conflict, match=f"is part of workflow {id_of(flow)}"):
        await bench.delete_dead(flow["a"].job_id)
    assert await bench.states(flow) == {"a": S.DEAD}
