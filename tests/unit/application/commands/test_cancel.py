"""Cancel a job, and what waits for it."""

import attrs
import pytest

from schedora.application.commands.cancel import CANCELED_BY_REQUEST
from schedora.application.errors import Conflict, NotFound
from schedora.domain.job import UPSTREAM_FAILED
from schedora.domain.job_state import JobState
from schedora.domain.workflow import WorkflowState
from tests.builders import a_job_id
from tests.contract.situations import STATE_OF, Situation, bring_about
from tests.unit.application.bench import DOWN, Bench, OutdatedReader, id_of

ENDED = {Situation.SUCCESS, Situation.DEAD, Situation.CANCELED}


@pytest.mark.parametrize("situation", sorted(set(Situation) - ENDED))
async def test_what_has_not_ended_is_canceled(bench: Bench, situation: Situation) -> None:
    case = await bring_about(bench.stores, situation)
    canceled = await bench.cancel(case.job.job_id)
    assert (canceled.status, canceled.lease) == (JobState.CANCELED, None)
    assert canceled.history[-1].reason == CANCELED_BY_REQUEST
    assert await bench.stores.job(case.job.job_id) == canceled


@pytest.mark.parametrize("situation", sorted(ENDED))
async def test_what_has_ended_stays_as_it_is(bench: Bench, situation: Situation) -> None:
    case = await bring_about(bench.stores, situation)
    with pytest.raises(Conflict, match=f"has already ended: it is {STATE_OF[situation]}"):
        await bench.cancel(case.job.job_id)
    assert await bench.stores.job(case.job.job_id) == case.job


@pytest.mark.parametrize("situation", [Situation.SCHEDULED, Situation.RUNNING, Situation.READY])
async def test_holder_is_told(bench: Bench, situation: Situation) -> None:
    case = await bring_about(bench.stores, situation)
    bench.hints.clear()
    await bench.cancel(case.job.job_id)
    held = situation is not Situation.READY
    assert [hint.owners for hint in bench.hints] == ([{case.worker.incarnation}] if held else [])


async def test_unknown_job_is_not_found(bench: Bench) -> None:
    with pytest.raises(NotFound, match="there is no job"):
        await bench.cancel(a_job_id())


async def test_job_that_vanished_before_its_turn_is_not_found(bench: Bench) -> None:
    case = await bring_about(bench.stores, Situation.DEAD)
    await bench.delete_dead(case.job.job_id)
    cancel = attrs.evolve(bench.cancel, reader=OutdatedReader(bench.store, case.job))
    with pytest.raises(NotFound):
        await cancel(case.job.job_id)


async def test_what_waits_for_it_is_canceled_too_all_the_way_down(bench: Bench) -> None:
    flow = await bench.flow(a="", b="a", c="b", x="")
    await bench.cancel(flow["a"].job_id)
    assert await bench.states(flow) == {
        "a": JobState.CANCELED,
        "b": JobState.CANCELED,
        "c": JobState.CANCELED,
        "x": JobState.PENDING,
    }
    assert (await bench.stores.job(flow["c"].job_id)).error_message == UPSTREAM_FAILED
    workflow = await bench.workflow_of(flow)
    assert (workflow.counts.canceled, workflow.counts.pending, workflow.status) == (
        3,
        1,
        WorkflowState.RUNNING,
    )


async def test_last_job_of_a_workflow_ends_it(bench: Bench) -> None:
    flow = await bench.flow(a="", b="")
    await bench.cancel(flow["a"].job_id)
    await bench.run({"b": DOWN})
    workflow = await bench.workflow_of(flow)
    assert workflow.status is WorkflowState.FAILED
    assert workflow.completed_at == bench.clock.now()
    assert workflow.workflow_id == id_of(flow)
