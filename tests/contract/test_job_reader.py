"""Jobs as they are looked at."""

from datetime import UTC, datetime, timedelta

import pytest

from schedora.application.ports.job_reader import PAGE_BYTES, JobFilter, StatusSummary
from schedora.domain.ids import JobId, JsonText, WorkerId, uuid7
from schedora.domain.job import Job
from schedora.domain.job_state import ENDED, JobState
from schedora.domain.outcome import Failed, Released, Succeeded, WorkerLost
from tests.builders import a_job_id, a_request, a_workflow_id
from tests.contract.situations import Situation, bring_about
from tests.contract.stores import Stores


async def found(stores: Stores, job_filter: JobFilter) -> list[JobId]:
    """All of them, read two by two."""
    ids: list[JobId] = []
    after = None
    while True:
        page = await stores.job_reader.page(job_filter, limit=2, after=after)
        assert len(page.jobs) <= 2
        ids += [job.job_id for job in page.jobs]
        after = page.next_after
        if after is None:
            return ids
        assert after == ids[-1]


async def test_unknown_job_is_none(stores: Stores) -> None:
    assert await stores.job_reader.get(a_job_id()) is None


async def test_pages_are_newest_first_and_complete(stores: Stores) -> None:
    jobs = await stores.submit(*(a_request() for _ in range(5)))
    newest_first = [job.job_id for job in reversed(jobs)]
    assert await found(stores, JobFilter()) == newest_first
    whole = await stores.job_reader.page(JobFilter(), limit=5, after=None)
    assert ([job.job_id for job in whole.jobs], whole.next_after) == (newest_first, None)


async def test_a_page_of_large_jobs_ends_before_it_takes_much_memory(stores: Stores) -> None:
    large = JsonText('{"text": "' + "x" * (PAGE_BYTES // 3) + '"}')
    jobs = await stores.submit(*(a_request(payload=large) for _ in range(4)), a_request())
    newest_first = [job.job_id for job in reversed(jobs)]
    page = await stores.job_reader.page(JobFilter(), limit=500, after=None)
    assert ([job.job_id for job in page.jobs], page.next_after) == (newest_first[:4], newest_first[3])
    rest = await stores.job_reader.page(JobFilter(), limit=500, after=page.next_after)
    assert ([job.job_id for job in rest.jobs], rest.next_after) == (newest_first[4:], None)


async def test_page_shows_full_jobs(stores: Stores) -> None:
    await stores.submit(a_request())
    await stores.claim(await stores.worker())
    page = await stores.job_reader.page(JobFilter(), limit=10, after=None)
    assert page.jobs == (await stores.job(page.jobs[0].job_id),)


async def test_page_of_nothing(stores: Stores) -> None:
    page = await stores.job_reader.page(JobFilter(), limit=10, after=None)
    assert (page.jobs, page.next_after) == ((), None)


async def test_page_goes_on_behind_a_job_that_is_gone(stores: Stores) -> None:
    jobs = await stores.submit(*(a_request() for _ in range(3)))
    await stores.cancel(jobs[1].job_id)
    async with stores.units.begin() as unit:
        await unit.jobs.lock([jobs[1].job_id])
        await unit.jobs.delete([jobs[1].job_id])
    page = await stores.job_reader.page(JobFilter(), limit=10, after=jobs[1].job_id)
    assert [job.job_id for job in page.jobs] == [jobs[0].job_id]


async def one_of_each(stores: Stores) -> list[Job]:
    """One job in each situation, and what the waiting one waits for."""
    # Those that can be claimed come last, so that none is claimed on another's way.
    claimable = [Situation.RETRYING, Situation.READY]
    order = [one for one in Situation if one not in claimable] + claimable
    cases = [await bring_about(stores, situation) for situation in order]
    jobs: list[Job] = []
    for case in cases:
        jobs.append(case.job)
        if case.upstream is not None:
            jobs.append(await stores.job(case.upstream))
    return jobs


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.FAILED])
async def test_filter_by_state_tells_derived_states_too(stores: Stores, state: JobState) -> None:
    jobs = await one_of_each(stores)
    wanted = [job.job_id for job in jobs if job.status is state]
    assert wanted
    assert await found(stores, JobFilter(states=frozenset({state}))) == sorted(wanted, reverse=True)


async def test_filter_by_several_states(stores: Stores) -> None:
    jobs = await one_of_each(stores)
    for states in (
        ENDED,
        frozenset({JobState.PENDING, JobState.RUNNING, JobState.DEAD}),
        frozenset(JobState),
    ):
        wanted = [job.job_id for job in jobs if job.status in states]
        assert await found(stores, JobFilter(states=states)) == sorted(wanted, reverse=True)


async def test_no_job_is_ever_seen_as_failed(stores: Stores) -> None:
    await one_of_each(stores)
    assert await found(stores, JobFilter(states=frozenset({JobState.FAILED}))) == []


async def test_filter_by_type_queue_and_workflow(stores: Stores) -> None:
    workflow_id = await stores.workflow()
    a, b, c = await stores.submit(
        a_request(type="x", queue="p"), a_request(type="x", queue="q"), a_request(workflow_id=workflow_id)
    )
    assert await found(stores, JobFilter(type="x")) == [b.job_id, a.job_id]
    assert await found(stores, JobFilter(queue="q")) == [b.job_id]
    assert await found(stores, JobFilter(workflow_id=workflow_id)) == [c.job_id]
    assert await found(stores, JobFilter(workflow_id=a_workflow_id())) == []
    assert await found(stores, JobFilter(type="x", queue="p", states=frozenset({JobState.PENDING}))) == [
        a.job_id
    ]
    assert await found(stores, JobFilter(type="x", queue="p", states=frozenset({JobState.DEAD}))) == []


async def test_filter_by_worker_finds_what_it_holds_and_what_it_ended(stores: Stores) -> None:
    held, ended, lost = await stores.submit(*(a_request() for _ in range(3)))
    worker = await stores.worker(worker_id=WorkerId("w9"))
    claims = {claim.job_id: claim for claim in await stores.claim(worker)}
    assert await stores.complete(claims[ended.job_id], Succeeded())
    assert await stores.complete(claims[lost.job_id], WorkerLost(message="silence"))
    assert await found(stores, JobFilter(worker_id=WorkerId("w9"))) == [ended.job_id, held.job_id]
    assert await found(stores, JobFilter(worker_id=WorkerId("w"))) == []


async def test_filter_by_the_kind_of_the_newest_error(stores: Stores) -> None:
    await stores.submit(a_request(), a_request(), a_request())
    worker = await stores.worker()
    first, second, _ = await stores.claim(worker)
    assert await stores.complete(first, Failed(kind="A", message="a", retry_after=timedelta(0)))
    assert await stores.complete(second, Failed(kind="A", message="a", retryable=False))
    [again] = await stores.claim(worker)
    assert await stores.complete(again, Failed(kind="B", message="b", retryable=False))
    assert await found(stores, JobFilter(error_kind="A")) == [second.job_id]
    dead = frozenset({JobState.DEAD})
    assert await found(stores, JobFilter(error_kind="B", states=dead)) == [first.job_id]
    assert await found(stores, JobFilter(error_kind="C", states=dead)) == []


async def test_filter_by_time_includes_the_first_instant_and_not_the_last(stores: Stores) -> None:
    jobs = []
    for number in range(3):
        milliseconds = int((await stores.now()).timestamp() * 1000)
        jobs.append(await stores.submit_one(job_id=JobId(uuid7(milliseconds, number))))
    first, second, third = (job.created_at for job in jobs)
    assert first < second < third
    assert await found(stores, JobFilter(created_after=second)) == [jobs[2].job_id, jobs[1].job_id]
    assert await found(stores, JobFilter(created_before=second)) == [jobs[0].job_id]
    assert await found(stores, JobFilter(created_after=first, created_before=third)) == [
        jobs[1].job_id,
        jobs[0].job_id,
    ]


@pytest.mark.parametrize(
    "instant",
    [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)],
    ids=["first", "last"],
)
async def test_filter_by_time_takes_every_instant(stores: Stores, instant: datetime) -> None:
    job = await stores.submit_one()
    older = await found(stores, JobFilter(created_before=instant))
    younger = await found(stores, JobFilter(created_after=instant))
    assert older + younger == [job.job_id]


async def test_ended_are_those_that_ended_or_do_not_exist(stores: Stores) -> None:
    jobs = await one_of_each(stores)
    stranger = a_job_id()
    ids = [job.job_id for job in jobs]
    wanted = {job.job_id for job in jobs if job.status in ENDED} | {stranger}
    assert await stores.job_reader.ended([*ids, stranger]) == wanted
    assert await stores.job_reader.ended([]) == set()


async def test_upstream_results_go_by_key_or_else_by_id(stores: Stores) -> None:
    workflow_id = await stores.workflow()
    await stores.submit(
        a_request(workflow_id=workflow_id, key="named"),
        a_request(workflow_id=workflow_id),
        a_request(workflow_id=workflow_id, key="silent"),
        a_request(workflow_id=workflow_id, key="unrelated"),
    )
    claims = await stores.claim(await stores.worker())
    results = [JsonText('{"a": 1}'), JsonText("[]"), None, JsonText("4")]
    for claim, result in zip(claims, results, strict=True):
        assert await stores.complete(claim, Succeeded(result=result))
    upstream = tuple(claim.job_id for claim in claims[:3])
    job = await stores.submit_one(a_request(workflow_id=workflow_id, depends_on=upstream))
    assert await stores.job_reader.upstream_results(job.job_id) == {
        "named": '{"a": 1}',
        str(upstream[1]): "[]",
        "silent": None,
    }
    assert await stores.job_reader.upstream_results(upstream[0]) == {}
    assert await stores.job_reader.upstream_results(a_job_id()) == {}


async def test_standings_are_those_of_the_full_jobs(stores: Stores) -> None:
    jobs = await one_of_each(stores)
    status_summaries = await stores.job_reader.status_summaries([a_job_id(), *(job.job_id for job in jobs)])
    assert status_summaries == {job.job_id: StatusSummary(job.status, job.lease_token) for job in jobs}


async def test_each_move_makes_another_standing(stores: Stores) -> None:
    job = await stores.submit_one()

    async def standing() -> StatusSummary:
        return (await stores.job_reader.status_summaries([job.job_id]))[job.job_id]

    seen = [await standing()]
    worker = await stores.worker()
    [held] = await stores.claim(worker, start_count=0)
    seen.append(await standing())
    assert await stores.complete(held, Released(reason="draining"))
    seen.append(await standing())
    [run] = await stores.claim(worker)
    seen.append(await standing())
    assert await stores.complete(run, Succeeded())
    seen.append(await standing())
    assert len(set(seen)) == len(seen)


async def test_no_standings_of_nothing(stores: Stores) -> None:
    assert await stores.job_reader.status_summaries([]) == {}
