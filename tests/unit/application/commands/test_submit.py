"""Submit jobs: each stored or found, all of them or none."""

import attrs
import pytest

from schedora.adapters.memory.faults import AFTER_COMMIT, BEFORE_COMMIT
from schedora.application.errors import Invalid, StoreUnavailable, WorkflowClosed
from schedora.application.ports.job_reader import JobFilter
from schedora.application.ports.metrics import Counter
from schedora.domain.ids import JsonText
from schedora.domain.job import UPSTREAM_FAILED
from schedora.domain.job_state import JobState
from tests.builders import HOUR, TRACE, a_job_id, a_request, a_workflow_id
from tests.unit.application.bench import DOWN, UP, Bench, id_of


async def stored(bench: Bench) -> int:
    return len((await bench.stores.job_reader.page(JobFilter(), limit=100, after=None)).jobs)


async def test_requests_become_jobs_in_the_order_given(bench: Bench) -> None:
    requests = [a_request(queue=queue) for queue in ("a", "b", "a")]
    submissions = await bench.submit(requests)
    assert [submission.job.request for submission in submissions] == [
        attrs.evolve(request, idempotency_key=str(submission.job_id))
        for request, submission in zip(requests, submissions, strict=True)
    ]
    assert all(submission.created and submission.same_request for submission in submissions)
    ids = [submission.job.job_id for submission in submissions]
    assert ids == sorted(set(ids))
    for submission in submissions:
        assert await bench.stores.job(submission.job.job_id) == submission.job


async def test_new_jobs_are_counted_and_those_who_may_run_them_are_woken(bench: Bench) -> None:
    await bench.submit([a_request(queue="a"), a_request(queue="b", type="letter"), a_request(queue="a")])
    assert bench.metrics.counted == {
        (Counter.JOBS_CREATED, "work"): 2,
        (Counter.JOBS_CREATED, "letter"): 1,
        (Counter.QUEUE_ENQUEUED, "a"): 2,
        (Counter.QUEUE_ENQUEUED, "b"): 1,
    }
    [hint] = bench.hints
    assert hint.queues == {"a", "b"}
    assert not hint.owners


async def test_taken_key_finds_the_job_and_tells_whether_the_request_is_the_same(bench: Bench) -> None:
    request = a_request(idempotency_key="k")
    [first] = await bench.submit([request])
    bench.metrics.counted.clear()
    bench.hints.clear()
    other = a_request(idempotency_key="k", payload=JsonText('{"other":1}'))
    again, different = await bench.submit([request, other])
    assert (again.created, again.same_request, again.job) == (False, True, first.job)
    assert (different.created, different.same_request, different.job) == (False, False, first.job)
    assert await stored(bench) == 1
    assert not bench.metrics.counted
    assert bench.hints == []


async def test_key_that_comes_twice_is_found_the_second_time(bench: Bench) -> None:
    requests = [a_request(idempotency_key="k"), a_request(), a_request(idempotency_key="k")]
    submissions = await bench.submit(requests)
    assert [submission.created for submission in submissions] == [True, True, False]
    assert submissions[2].job == submissions[0].job


async def test_each_job_has_the_trace_of_its_request_or_one_of_its_own(bench: Bench) -> None:
    given, one, two = await bench.submit([a_request(trace=TRACE), a_request(), a_request()])
    assert given.job.trace == TRACE
    assert len({TRACE.trace_id, one.job.trace.trace_id, two.job.trace.trace_id}) == 3


async def test_nothing_asked_for_is_nothing_done(bench: Bench) -> None:
    bench.faults.away = True
    assert await bench.submit([]) == []


async def test_batch_may_be_full_and_not_fuller(bench: Bench) -> None:
    assert len(await bench.submit([a_request()] * 5)) == 5
    with pytest.raises(Invalid, match="at most 5 jobs in one batch, not 6") as caught:
        await bench.submit([a_request()] * 6)
    assert [error.field for error in caught.value.errors] == ["jobs"]
    assert await stored(bench) == 5


async def test_unknown_references_are_all_named_and_nothing_is_stored(bench: Bench) -> None:
    flow = await bench.flow(a="")
    other = await bench.flow("other", x="")
    known, nowhere, nobody = id_of(flow), a_workflow_id(), a_job_id()
    before = await stored(bench)
    with pytest.raises(Invalid) as caught:
        await bench.submit(
            [
                a_request(workflow_id=known, depends_on=(flow["a"].job_id, nobody, other["x"].job_id)),
                a_request(),
                a_request(workflow_id=nowhere),
            ]
        )
    assert [(error.field, error.message) for error in caught.value.errors] == [
        ("jobs[0].depends_on[1]", f"there is no job {nobody} in workflow {known}"),
        ("jobs[0].depends_on[2]", f"there is no job {other['x'].job_id} in workflow {known}"),
        ("jobs[2].workflow_id", f"there is no workflow {nowhere}"),
    ]
    assert await stored(bench) == before


async def test_field_of_a_single_job_has_no_number(bench: Bench) -> None:
    with pytest.raises(Invalid) as caught:
        await bench.submit([a_request(workflow_id=a_workflow_id(), depends_on=(a_job_id(),))])
    assert [error.field for error in caught.value.errors] == ["workflow_id", "depends_on[0]"]


async def test_canceled_workflow_takes_no_more_jobs(bench: Bench) -> None:
    flow = await bench.flow(a="")
    await bench.cancel_workflow(id_of(flow))
    with pytest.raises(WorkflowClosed):
        await bench.submit([a_request(workflow_id=id_of(flow))])
    assert await stored(bench) == 1


async def test_job_waits_for_those_that_have_not_succeeded(bench: Bench) -> None:
    flow = await bench.flow(a="", b="")
    await bench.run({"a": UP})
    causes = (flow["a"].job_id, flow["b"].job_id)
    bench.hints.clear()
    [waiting] = await bench.submit([a_request(workflow_id=id_of(flow), depends_on=causes)])
    [ready] = await bench.submit([a_request(workflow_id=id_of(flow), depends_on=causes[:1], queue="ready")])
    assert (waiting.job.waits_for, ready.job.waits_for) == (1, 0)
    assert [hint.queues for hint in bench.hints] == [{"ready"}]
    assert (await bench.workflow_of(flow)).counts.total == 4


async def test_job_behind_what_can_not_succeed_is_canceled_at_once(bench: Bench) -> None:
    flow = await bench.flow(a="", b="")
    await bench.run({"a": DOWN})
    workflow_id = id_of(flow)
    [doomed, fine] = await bench.submit(
        [
            a_request(workflow_id=workflow_id, depends_on=(flow["a"].job_id, flow["b"].job_id)),
            a_request(workflow_id=workflow_id),
        ]
    )
    assert doomed.created
    assert (doomed.job.status, doomed.job.error_message) == (JobState.CANCELED, UPSTREAM_FAILED)
    assert await bench.stores.job(doomed.job.job_id) == doomed.job
    assert fine.job.status is JobState.PENDING
    counts = (await bench.workflow_of(flow)).counts
    assert (counts.total, counts.failed, counts.canceled) == (4, 1, 1)


async def test_two_workflows_may_be_filled_in_one_batch(bench: Bench) -> None:
    one, two = await bench.flow("one", a=""), await bench.flow("two", a="")
    await bench.submit([a_request(workflow_id=id_of(flow)) for flow in (one, two, one)])
    assert (await bench.workflow_of(one)).counts.total == 3
    assert (await bench.workflow_of(two)).counts.total == 2


async def test_jobs_found_are_not_counted_into_their_workflow_again(bench: Bench) -> None:
    flow = await bench.flow(a="")
    request = a_request(workflow_id=id_of(flow), idempotency_key="k")
    for _ in range(2):
        await bench.submit([request])
    assert (await bench.workflow_of(flow)).counts.total == 2


async def test_jobs_exist_if_and_only_if_the_transaction_of_the_caller_commits(bench: Bench) -> None:
    async with bench.stores.abandoned_unit() as unit:
        await bench.submit([a_request()], connection=unit)
    assert await stored(bench) == 0
    async with bench.stores.units.begin() as unit:
        [submission] = await bench.submit([a_request()], connection=unit)
        assert await stored(bench) == 0
    assert await bench.stores.job(submission.job.job_id) == submission.job


async def test_store_that_fails_stores_nothing_and_nothing_is_told(bench: Bench) -> None:
    bench.faults.fail(BEFORE_COMMIT)
    with pytest.raises(StoreUnavailable):
        await bench.submit([a_request(scheduled_at=bench.clock.now() + HOUR)])
    assert await stored(bench) == 0
    assert bench.hints == []
    assert not bench.metrics.counted


async def test_lost_answer_is_made_good_by_asking_again_with_the_same_key(bench: Bench) -> None:
    bench.faults.fail(AFTER_COMMIT)
    request = a_request(idempotency_key="k")
    with pytest.raises(StoreUnavailable):
        await bench.submit([request])
    [again] = await bench.submit([request])
    assert (again.created, again.same_request) == (False, True)
    assert await stored(bench) == 1
