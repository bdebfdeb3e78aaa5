"""What jobs depend on and what depends on them."""

from schedora.application.ports.lineage_reader import DEPENDANTS_MAX
from schedora.application.telemetry.lineage import Dependants, Relative
from schedora.domain.ids import JobId
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Released, Succeeded
from tests.builders import a_job_id, a_request
from tests.contract.stores import Stores


def relative(job: Job) -> Relative:
    return Relative(
        job_id=job.job_id,
        key=job.request.key,
        trace=job.trace,
        status=job.status,
        claimed_at=job.claimed_at,
        completed_at=job.completed_at,
    )


async def seen(stores: Stores, job_id: JobId) -> Relative:
    lineage = await stores.lineage_reader.lineage([], upstream_ids=[job_id])
    return lineage.upstream[job_id]


async def test_what_is_not_there_has_no_lineage(stores: Stores) -> None:
    before = await stores.now()
    lineage = await stores.lineage_reader.lineage([a_job_id()], upstream_ids=[a_job_id()])
    assert (lineage.upstream, lineage.dependants) == ({}, {})
    assert before <= lineage.at <= await stores.now()


async def test_upstream_jobs_are_told_as_they_are(stores: Stores) -> None:
    worker = await stores.worker()
    job = await stores.submit_one(a_request(key="a", idempotency_key="a"))
    assert await seen(stores, job.job_id) == relative(job)
    (claimed,) = await stores.claim(worker, start_count=0)
    held = await seen(stores, job.job_id)
    assert (held.status, held.claimed_at) == (JobState.SCHEDULED, claimed.claimed_at)
    assert held == relative(await stores.job(job.job_id))
    assert await stores.complete(claimed, Released(reason="drained"))
    assert await seen(stores, job.job_id) == relative(await stores.job(job.job_id))
    (claimed,) = await stores.claim(worker)
    assert (await seen(stores, job.job_id)).status is JobState.RUNNING
    assert await stores.complete(claimed, Succeeded())
    ended = await seen(stores, job.job_id)
    assert ended == relative(await stores.job(job.job_id))
    assert ended.completed_at is not None


async def test_dependants_are_counted_and_the_first_are_named(stores: Stores) -> None:
    flow = await stores.workflow()
    many, few, none = await stores.submit(*(a_request(workflow_id=flow) for _ in range(3)))
    crowd = await stores.submit(
        *(a_request(workflow_id=flow, depends_on=(many.job_id,)) for _ in range(DEPENDANTS_MAX + 2))
    )
    both = await stores.submit_one(a_request(workflow_id=flow, depends_on=(many.job_id, few.job_id)))
    lineage = await stores.lineage_reader.lineage([many.job_id, few.job_id, none.job_id], upstream_ids=[])
    assert lineage.dependants == {
        many.job_id: Dependants(
            count=DEPENDANTS_MAX + 3,
            job_ids=tuple(sorted(job.job_id for job in crowd)[:DEPENDANTS_MAX]),
        ),
        few.job_id: Dependants(count=1, job_ids=(both.job_id,)),
    }
