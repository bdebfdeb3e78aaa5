"""Completions of workflows' jobs with all that they release, in one step."""

from typing import Any

import attrs
import pytest

from schedora.application.ports.job_queue import Start
from schedora.application.ports.unit_of_work import Advanced
from schedora.application.ports.workflows import CountChange
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import JobId, JsonText, LeaseId, WorkflowId
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, Outcome, Released, Succeeded
from schedora.domain.workflow import JobCounts
from tests.builders import a_job_id, a_request, a_workflow_id
from tests.contract.stores import Stores

DONE = Succeeded(result=JsonText('"done"'))
AGAIN = Failed(kind="Boom", message="once more")


class Diamond:
    """A workflow of two jobs and one that waits for both."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.causes: list[ClaimedJob] = []

    async def make(self, name: str = "flow") -> None:
        self.workflow_id: WorkflowId = await self.stores.workflow(name)
        causes = await self.stores.submit(*[a_request(workflow_id=self.workflow_id) for _ in range(2)])
        ids = tuple(job.job_id for job in causes)
        effect = await self.stores.submit_one(
            a_request(workflow_id=self.workflow_id, depends_on=ids, queue="effects"), waits_for=2
        )
        self.effect_id: JobId = effect.job_id
        async with self.stores.units.begin() as unit:
            await unit.workflows.count(
                [CountChange(workflow_id=self.workflow_id, total=3)], at=await unit.now()
            )
        self.worker = await self.stores.worker()
        self.causes = await self.stores.claim(self.worker)

    async def advance(self, *ends: tuple[ClaimedJob, Outcome]) -> Advanced:
        return await self.stores.units.advance(
            [await self.stores.settle(claimed, outcome) for claimed, outcome in ends]
        )

    async def counts(self) -> JobCounts:
        workflow = await self.stores.workflow_reader.get(self.workflow_id)
        assert workflow is not None
        assert (workflow.completed_at is not None) == (workflow.counts.succeeded == 3)
        return workflow.counts


@pytest.fixture
async def diamond(stores: Stores) -> Diamond:
    made = Diamond(stores)
    await made.make()
    return made


async def test_a_success_releases_what_waited_for_it_alone(diamond: Diamond, stores: Stores) -> None:
    first, second = diamond.causes
    assert await diamond.advance((first, DONE)) == Advanced(
        accepted=frozenset({first.lease_id}), queues=frozenset()
    )
    job = await stores.job(first.job_id)
    assert (job.status, job.result, job.lease) == (JobState.SUCCESS, DONE.result, None)
    assert (await stores.job(diamond.effect_id)).waits_for == 1
    assert await stores.claim(diamond.worker) == []
    assert await diamond.advance((second, DONE)) == Advanced(
        accepted=frozenset({second.lease_id}), queues=frozenset({"effects"})
    )
    assert (await diamond.counts()).succeeded == 2
    [effect] = await stores.claim(diamond.worker)
    assert effect.job_id == diamond.effect_id


async def test_causes_that_end_together_release_their_effect_once(diamond: Diamond, stores: Stores) -> None:
    advanced = await diamond.advance(*[(cause, DONE) for cause in diamond.causes])
    assert advanced.accepted == {cause.lease_id for cause in diamond.causes}
    [effect] = await stores.claim(diamond.worker)
    assert await diamond.advance((effect, DONE)) == Advanced(
        accepted=frozenset({effect.lease_id}), queues=frozenset()
    )
    assert (await diamond.counts()).succeeded == 3


@pytest.mark.parametrize("outcome", [AGAIN, Released(reason="no room")], ids=["retried", "released"])
async def test_what_goes_on_releases_and_counts_nothing(
    diamond: Diamond, stores: Stores, outcome: Outcome
) -> None:
    first, second = diamond.causes
    advanced = await diamond.advance((first, outcome), (second, DONE))
    assert advanced == Advanced(accepted=frozenset({first.lease_id, second.lease_id}), queues=frozenset())
    assert (await stores.job(first.job_id)).status in {JobState.PENDING, JobState.RETRYING}
    assert (await stores.job(diamond.effect_id)).waits_for == 1
    assert (await diamond.counts()).succeeded == 1


async def test_a_lease_that_is_gone_ends_releases_and_counts_nothing(
    diamond: Diamond, stores: Stores
) -> None:
    first, second = diamond.causes
    stale: dict[str, Any] = {"lease_id": LeaseId(diamond.workflow_id)}
    advanced = await diamond.advance((attrs.evolve(first, **stale), DONE), (second, DONE))
    assert advanced == Advanced(accepted=frozenset({second.lease_id}), queues=frozenset())
    assert (await stores.job(first.job_id)).status is JobState.RUNNING
    assert (await diamond.counts()).succeeded == 1
    assert (await diamond.advance((second, DONE))).accepted == frozenset(), "only once"
    assert (await diamond.counts()).succeeded == 1


async def test_workflows_side_by_side_are_kept_apart(diamond: Diamond, stores: Stores) -> None:
    other = Diamond(stores)
    await other.make("other")
    advanced = await diamond.advance(*[(cause, DONE) for cause in diamond.causes], (other.causes[0], DONE))
    assert len(advanced.accepted) == 3
    assert ((await diamond.counts()).succeeded, (await other.counts()).succeeded) == (2, 1)
    assert [job.job_id for job in await stores.claim(diamond.worker)] == [diamond.effect_id]


async def test_a_workflow_that_is_gone_is_not_in_the_way_of_others(diamond: Diamond, stores: Stores) -> None:
    first, second = diamond.causes
    nowhere: dict[str, Any] = {"workflow_id": a_workflow_id(), "job_id": a_job_id()}
    advanced = await diamond.advance((attrs.evolve(first, **nowhere), DONE), (second, DONE))
    assert advanced == Advanced(accepted=frozenset({second.lease_id}), queues=frozenset())
    assert (await diamond.counts()).succeeded == 1


async def test_end_that_missed_the_start_is_refused(stores: Stores) -> None:
    workflow_id = await stores.workflow()
    await stores.submit(a_request(workflow_id=workflow_id))
    [unstarted] = (await stores.ask(await stores.worker(), start_count=0)).claimed
    start = Start(job_id=unstarted.job_id, lease_id=unstarted.lease_id, started_at=unstarted.claimed_at)
    late = await stores.settle(unstarted, Released(reason="drained"))
    await stores.sync(starts=[start])
    assert (await stores.units.advance([late])).accepted == frozenset()
    assert (await stores.job(unstarted.job_id)).status is JobState.RUNNING
