"""Two runs of one job: the first was given up, and does not know it."""

from tests.contract.stores import Stores

from schedora.application.commands.requeue import RequeueJob
from schedora.application.context import JobContext
from schedora.application.pipeline.complete import CompleteJobs
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import JsonText
from schedora.domain.outcome import Succeeded


class _Link:
    """What a context asks of the worker that runs it."""

    cancelled = False

    def __init__(self, stores: Stores, job: ClaimedJob) -> None:
        self._stores = stores
        self._job = job

    def report(self, progress: JsonText) -> None: ...

    async def complete_in(self, connection: object, result: JsonText) -> None:
        complete = CompleteJobs(units=self._stores.units, wakeup=self._stores.wakeup)
        await complete.within(connection, await self._stores.settle(self._job, Succeeded(result=result)))


async def two_runs(stores: Stores) -> tuple[JobContext, JobContext]:
    """The one that was given up, and the one that counts."""
    job = await stores.submit_one()
    [given_up] = await stores.claim(await stores.worker())
    await stores.cancel(job.job_id)
    requeue = RequeueJob(
        units=stores.units, reader=stores.job_reader, wakeup=stores.wakeup, events=stores.events
    )
    await requeue(job.job_id)
    [present] = await stores.claim(await stores.worker())
    first, second = (
        JobContext(claim, link=_Link(stores, claim), upstream={}, result_bytes_max=1_000)
        for claim in (given_up, present)
    )
    assert first.job_id == second.job_id
    assert first.lease_token < second.lease_token
    return first, second
