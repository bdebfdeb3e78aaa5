"""What holds of every system holds of the records of each store, at every step of a job that goes through every move."""

from datetime import timedelta
from itertools import pairwise

import attrs

from schedora.application.commands.cancel import CancelJob
from schedora.application.commands.requeue import RequeueJob
from schedora.application.pipeline.complete import CompleteJobs
from schedora.application.ports.workflows import CountChange
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.job_state import MOVES
from schedora.domain.outcome import Failed, Outcome, Released, Snoozed, Succeeded, TimedOut, WorkerLost
from schedora.domain.retry import RetryPolicy
from schedora_torture import invariants
from tests.builders import a_request
from tests.contract.stores import Stores
from tests.unit.application.bench import RecordedMetrics

AT_ONCE = RetryPolicy(max_retries=4, base=timedelta(0))
OOPS = Failed(kind="Oops", message="it failed")
LOST = WorkerLost(message="silence")


class Way:
    """One job of a workflow; everything that is done to it is looked at."""

    def __init__(self, stores: Stores, workflow_id: WorkflowId, job_id: JobId) -> None:
        self.stores = stores
        self.workflow_id = workflow_id
        self.job_id = job_id
        self.seen: list[Job] = []

    async def look(self) -> None:
        workflow = await self.stores.workflow_reader.get(self.workflow_id)
        jobs = (await self.stores.workflow_reader.jobs(self.workflow_id)).jobs
        assert workflow is not None
        assert invariants.of_workflow(workflow, jobs) == []
        assert [found for job in jobs for found in invariants.of_job(job)] == []
        self.seen.append(await self.stores.job(self.job_id))
        assert [found for pair in pairwise(self.seen[-2:]) for found in invariants.of_change(*pair)] == []

    async def run(self, outcome: Outcome, *, started: bool = True) -> None:
        [claim] = await self.stores.claim(await self.stores.worker(), start_count=0)
        await self.look()
        if started:
            claim = attrs.evolve(claim, started_at=claim.claimed_at)
        completion = await self.stores.settle(claim, outcome)
        complete = CompleteJobs(units=self.stores.units, wakeup=self.stores.wakeup)
        assert claim.lease_id in (await complete([completion])).accepted
        await self.look()

    async def claim(self, *, start_count: int) -> None:
        await self.stores.claim(await self.stores.worker(), start_count=start_count)
        await self.look()

    async def cancel(self) -> None:
        await CancelJob(
            units=self.stores.units,
            reader=self.stores.job_reader,
            wakeup=self.stores.wakeup,
            events=self.stores.events,
            metrics=RecordedMetrics(),
        )(self.job_id)
        await self.look()

    async def requeue(self) -> None:
        await RequeueJob(
            units=self.stores.units,
            reader=self.stores.job_reader,
            wakeup=self.stores.wakeup,
            events=self.stores.events,
        )(self.job_id)
        await self.look()


async def test_everything_holds_at_every_step(stores: Stores) -> None:
    workflow_id = await stores.workflow()
    first = await stores.submit_one(a_request(workflow_id=workflow_id, retry=AT_ONCE))
    await stores.submit_one(
        a_request(workflow_id=workflow_id, depends_on=(first.job_id,), type="later"), waits_for=1
    )
    async with stores.units.begin() as unit:
        await unit.workflows.count([CountChange(workflow_id=workflow_id, total=2)], at=await unit.now())
    way = Way(stores, workflow_id, first.job_id)
    await way.look()
    await way.run(Released(reason="drained"), started=False)
    await way.run(LOST, started=False)
    await way.run(Snoozed(delay=timedelta(0)))
    await way.run(OOPS)
    await way.run(LOST)
    await way.run(TimedOut(timeout=timedelta(seconds=1)))
    await way.cancel()
    await way.requeue()
    await way.cancel()
    await way.requeue()
    await way.run(Failed(kind="Discard", message="useless", retryable=False))
    await way.requeue()
    for start_count in (0, 1):
        await way.claim(start_count=start_count)
        await way.cancel()
        await way.requeue()
    await way.run(Succeeded())
    moves = {(event.from_state, event.to_state) for job in way.seen for event in job.events()[1:]}
    assert moves == set(MOVES)
