"""The hot path: what is claimed, by whom, in which order; what is accepted, and what it makes of the record."""

import asyncio
from datetime import timedelta

import attrs
import pytest

from schedora.application.ports.job_queue import ClaimRequest, Start, SyncBatch
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import completed
from schedora.domain.events import ERRORS_LIMIT, HISTORY_LIMIT, AttemptError, JobEvent
from schedora.domain.ids import JobId, JsonText, WorkerId
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, Outcome, Released, Snoozed, Succeeded, TimedOut, WorkerLost
from schedora.domain.retry import RetryKind, RetryPolicy
from schedora.domain.worker import WorkerState
from tests.builders import HOUR, NOON, SECOND, a_lease_id, a_new_job, a_request, an_incarnation
from tests.contract.situations import LATER
from tests.contract.stores import Stores


async def test_claims_by_priority_then_time_then_id(stores: Stores) -> None:
    now = await stores.now()
    early, late = now - 2 * HOUR, now - HOUR
    wanted = [
        a_new_job(a_request(priority=10, scheduled_at=late)),
        a_new_job(a_request(priority=5, scheduled_at=early)),
        a_new_job(a_request(priority=5, scheduled_at=late)),
        a_new_job(a_request(priority=5, scheduled_at=late)),
        a_new_job(a_request(priority=0, scheduled_at=early)),
    ]
    await stores.add(*(wanted[i] for i in (4, 3, 1, 0, 2)))
    claims = await stores.claim(await stores.worker())
    assert [claim.job_id for claim in claims] == [new.job_id for new in wanted]


async def test_order_holds_across_queues(stores: Stores) -> None:
    now = await stores.now()
    jobs = await stores.submit(
        *(a_request(queue=f"q{i % 3}", scheduled_at=now - HOUR + i * SECOND) for i in range(9))
    )
    worker = await stores.worker()
    claims = [await stores.claim(worker, limit=4) for _ in range(3)]
    assert [claim.job_id for batch in claims for claim in batch] == [job.job_id for job in jobs]


async def test_order_holds_across_queues_and_types_where_a_claim_ends_within_a_priority(
    stores: Stores,
) -> None:
    now = await stores.now()
    high = await stores.submit(
        *(
            a_request(queue=queue, type=job_type, priority=6)
            for queue in "ab"
            for job_type in ("work", "letter")
        )
    )
    low = await stores.submit(
        *(
            a_request(queue=queue, type=job_type, priority=5, scheduled_at=now - HOUR + place * SECOND)
            for place, (queue, job_type) in enumerate(
                [("b", "work"), ("b", "work"), ("a", "letter"), ("a", "work"), ("b", "letter")]
            )
        )
    )
    worker = await stores.worker()
    claims = [await stores.claim(worker, limit=3, types=("work", "letter")) for _ in range(3)]
    assert [[claim.job_id for claim in batch] for batch in claims] == [
        [job.job_id for job in batch] for batch in (high[:3], [high[3], *low[:2]], low[2:])
    ]


async def test_limit_is_kept_and_nothing_is_claimed_twice(stores: Stores) -> None:
    jobs = await stores.submit(*(a_request() for _ in range(7)))
    worker = await stores.worker()
    batches = [await stores.claim(worker, limit=3) for _ in range(4)]
    assert [len(batch) for batch in batches] == [3, 3, 1, 0]
    assert {claim.job_id for batch in batches for claim in batch} == {job.job_id for job in jobs}


async def test_rival_workers_share_without_overlap(stores: Stores) -> None:
    jobs = await stores.submit(*(a_request() for _ in range(40)))
    workers = [await stores.worker(worker_id=WorkerId(f"w{i}")) for i in range(4)]
    claimed: list[JobId] = []
    while len(claimed) < len(jobs):
        batches = await asyncio.gather(*(stores.claim(worker, limit=5) for worker in workers))
        claimed += [claim.job_id for batch in batches for claim in batch]
    assert sorted(claimed) == sorted(job.job_id for job in jobs)


async def test_job_is_not_claimed_before_its_time(stores: Stores) -> None:
    due_at = await stores.now() + HOUR
    await stores.submit(
        a_request(scheduled_at=due_at + HOUR, priority=10), a_request(scheduled_at=due_at, priority=0)
    )
    answer = await stores.ask(await stores.worker())
    assert answer.claimed == ()
    assert answer.next_due_at == due_at


async def test_next_due_at_tells_of_these_queues_and_types_only(stores: Stores) -> None:
    now = await stores.now()
    await stores.submit(
        a_request(queue="other", scheduled_at=now + HOUR),
        a_request(type="unknown", scheduled_at=now + HOUR),
        a_request(queue="paused", scheduled_at=now + HOUR),
        a_request(scheduled_at=now + 2 * HOUR),
    )
    await stores.queues.pause("paused")
    answer = await stores.ask(await stores.worker(), queues=("default", "paused"))
    assert answer.next_due_at == now + 2 * HOUR


async def test_next_due_at_is_left_out_when_all_that_was_asked_for_came(stores: Stores) -> None:
    await stores.submit(a_request(), a_request(scheduled_at=await stores.now() + HOUR))
    worker = await stores.worker()
    assert (await stores.ask(worker, limit=1)).next_due_at is None
    assert (await stores.ask(worker, limit=1)).next_due_at is not None


async def test_next_due_at_is_none_when_nothing_waits(stores: Stores) -> None:
    await stores.submit(a_request())
    answer = await stores.ask(await stores.worker())
    assert len(answer.claimed) == 1
    assert answer.next_due_at is None


async def test_next_due_at_sees_what_the_same_batch_puts_back(stores: Stores) -> None:
    await stores.submit(a_request())
    worker = await stores.worker()
    [claim] = await stores.claim(worker)
    completion = await stores.settle(claim, LATER)
    wish = ClaimRequest(
        owner=worker.incarnation,
        worker_id=worker.identity.worker_id,
        queues=(),
        types=("work",),
        limit=1,
        start_count=1,
    )
    answer = await stores.job_queue.sync(SyncBatch(completions=[completion], claim=wish))
    assert answer.accepted == {claim.lease_id}
    assert answer.claimed == ()
    assert answer.next_due_at == completion.scheduled_at


async def test_paused_queue_waits_and_resumed_one_goes_on(stores: Stores) -> None:
    job = await stores.submit_one(a_request(queue="mail"))
    worker = await stores.worker()
    await stores.queues.pause("mail")
    assert await stores.claim(worker) == []
    await stores.queues.resume("mail")
    assert [claim.job_id for claim in await stores.claim(worker)] == [job.job_id]


async def test_worker_gets_its_own_queues_and_types(stores: Stores) -> None:
    mail, _, letter = await stores.submit(
        a_request(queue="mail"), a_request(queue="other"), a_request(queue="mail", type="letter")
    )
    worker = await stores.worker()
    assert await stores.claim(worker, types=()) == []
    assert [one.job_id for one in await stores.claim(worker, queues=("mail",))] == [mail.job_id]
    both = await stores.claim(worker, queues=("mail", "none"), types=("work", "letter"))
    assert [one.job_id for one in both] == [letter.job_id]


@pytest.mark.parametrize("status", [WorkerState.DRAINING, WorkerState.STALE, WorkerState.STOPPED])
async def test_only_an_active_worker_gets_jobs(stores: Stores, status: WorkerState) -> None:
    await stores.submit(a_request())
    worker = await stores.worker()
    await stores.workers.set_status([worker.incarnation], status)
    answer = await stores.ask(worker)
    assert answer.claimed == ()
    assert answer.next_due_at is None


async def test_unregistered_owner_gets_no_jobs(stores: Stores) -> None:
    await stores.submit(a_request())
    assert await stores.claim(an_incarnation()) == []


async def test_first_claims_are_started_and_the_others_buffered(stores: Stores) -> None:
    await stores.submit(*(a_request() for _ in range(3)))
    answer = await stores.ask(await stores.worker(), start_count=2)
    assert [claim.started_at for claim in answer.claimed] == [answer.at, answer.at, None]
    records = [await stores.job(claim.job_id) for claim in answer.claimed]
    assert [job.status for job in records] == [JobState.RUNNING, JobState.RUNNING, JobState.SCHEDULED]
    assert [job.attempt for job in records] == [1, 1, 0]


async def test_suspect_job_is_never_started_with_its_claim(stores: Stores) -> None:
    await stores.submit(a_request(), a_request())
    worker = await stores.worker()
    first, second = await stores.claim(worker, start_count=0)
    assert await stores.complete(first, Released(reason="draining"))
    assert await stores.complete(second, WorkerLost(message="silence"))
    claims = {claim.job_id: claim for claim in await stores.claim(worker, start_count=2)}
    assert not claims[first.job_id].suspect
    assert claims[first.job_id].started_at is not None
    assert claims[second.job_id].suspect
    assert claims[second.job_id].started_at is None
    assert (await stores.job(second.job_id)).status is JobState.SCHEDULED


async def test_claim_tells_all_that_its_holder_needs(stores: Stores) -> None:
    policy = RetryPolicy(kind=RetryKind.JITTER, max_retries=7, base=0.25 * SECOND, max_delay=HOUR)
    job = await stores.submit_one(
        a_request(
            queue="q", priority=9, payload=JsonText('{"ä": [1, null]}'), retry=policy, timeout=90 * SECOND
        )
    )
    worker = await stores.worker(worker_id=WorkerId("Ω"))
    answer = await stores.ask(worker)
    [claim] = answer.claimed
    assert (claim.job_id, claim.type, claim.queue, claim.priority) == (job.job_id, "work", "q", 9)
    assert (claim.payload, claim.retry, claim.timeout) == ('{"ä": [1, null]}', policy, 90 * SECOND)
    assert (claim.owner, claim.worker_id) == (worker.incarnation, "Ω")
    assert (claim.waited_as, claim.attempt, claim.retry_count) == (JobState.PENDING, 0, 0)
    assert (claim.workflow_id, claim.key, claim.depends_on) == (None, None, ())
    assert claim.traceparent == job.trace.traceparent
    assert (claim.created_at, claim.scheduled_at) == (job.created_at, job.scheduled_at)
    assert claim.claimed_at == claim.started_at == answer.at
    assert (claim.lease_token, claim.worker_deaths, claim.suspect) == (1, 0, False)


async def test_jobs_of_one_claim_keep_their_order_and_what_sets_them_apart(stores: Stores) -> None:
    now = await stores.now()
    workflow_id = await stores.workflow()
    [first, second] = [
        await stores.submit_one(a_request(type="other", workflow_id=workflow_id)) for _ in range(2)
    ]
    asked = [
        a_request(
            payload=JsonText(str(place)),
            timeout=(1 + place % 2) * SECOND,
            retry=RetryPolicy(max_retries=place % 3),
            scheduled_at=now - HOUR + place * SECOND,
        )
        for place in range(12)
    ]
    asked[5] = attrs.evolve(
        asked[5], workflow_id=workflow_id, key="b", depends_on=(first.job_id, second.job_id)
    )
    jobs = [await stores.submit_one(request) for request in asked]
    claims = await stores.claim(await stores.worker(), limit=len(jobs))
    assert [claim.job_id for claim in claims] == [job.job_id for job in jobs]
    for claim, job in zip(claims, jobs, strict=True):
        request = job.request
        assert (claim.payload, claim.timeout, claim.retry) == (
            request.payload,
            request.timeout,
            request.retry,
        )
        assert (claim.workflow_id, claim.key, claim.depends_on) == (
            request.workflow_id, request.key, request.depends_on,
        )  # fmt: skip
        assert (claim.traceparent, claim.scheduled_at) == (job.trace.traceparent, job.scheduled_at)


async def test_workflow_claim_names_key_and_dependencies(stores: Stores) -> None:
    workflow_id = await stores.workflow()
    first = await stores.submit_one(a_request(type="other", workflow_id=workflow_id))
    await stores.submit(a_request(workflow_id=workflow_id, key="b", depends_on=(first.job_id,)))
    [claim] = await stores.claim(await stores.worker())
    assert (claim.workflow_id, claim.key) == (workflow_id, "b")
    assert claim.depends_on == (first.job_id,)


async def test_lease_token_grows_by_one_and_the_lease_id_is_new(stores: Stores) -> None:
    job = await stores.submit_one()
    worker = await stores.worker()
    lease_ids = set()
    for token in range(1, 6):
        [claim] = await stores.claim(worker)
        assert claim.lease_token == token
        assert (await stores.job(job.job_id)).lease_token == token
        lease_ids.add(claim.lease_id)
        assert await stores.complete(claim, Released(reason="draining"))
        assert (await stores.job(job.job_id)).lease_token == token
    assert len(lease_ids) == 5
    [claim] = await stores.claim(worker)
    await stores.cancel(job.job_id)
    await stores.requeue(job.job_id)
    assert [one.lease_token for one in await stores.claim(worker)] == [claim.lease_token + 1]


async def test_retry_is_claimed_as_retrying_with_its_tries_counted(stores: Stores) -> None:
    await stores.submit(a_request(retry=RetryPolicy(base=timedelta(0))))
    worker = await stores.worker()
    [claim] = await stores.claim(worker)
    assert await stores.complete(claim, Failed(kind="Oops", message="it failed"))
    [again] = await stores.claim(worker)
    assert (again.waited_as, again.attempt, again.retry_count) == (JobState.RETRYING, 1, 1)
    assert again.current_attempt == (await stores.job(again.job_id)).attempt == 2


OUTCOMES: list[Outcome] = [
    Succeeded(result=JsonText('{"ok": true}')),
    Succeeded(),
    Failed(kind="Oops", message="ü", traceback="Traceback\n…"),
    Failed(kind="Oops", message="hopeless", retryable=False),
    Failed(kind="Oops", message="soon", retry_after=timedelta(microseconds=1)),
    TimedOut(timeout=HOUR),
    Snoozed(delay=HOUR, reason="not yet"),
    Released(reason="draining"),
    WorkerLost(message="silence"),
]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
async def test_completion_makes_of_the_record_what_the_domain_says(stores: Stores, outcome: Outcome) -> None:
    job = await stores.submit_one()
    [claim] = await stores.claim(await stores.worker())
    held = await stores.job(job.job_id)
    completion = await stores.settle(claim, outcome)
    answer = await stores.sync(completions=[completion])
    assert answer.accepted == {claim.lease_id}
    assert await stores.job(job.job_id) == completed(held, completion)


@pytest.mark.parametrize(
    "outcomes",
    [
        [Succeeded(result=JsonText("1")), Succeeded(result=JsonText("2")), Succeeded()],
        [Succeeded(result=JsonText("1"))] * 3,
        [Succeeded(result=JsonText("1")), Failed(kind="Oops", message="no"), Released(reason="draining")],
    ],
    ids=["with different results", "all the same", "with different ends"],
)
async def test_completions_in_company_keep_what_is_their_own(stores: Stores, outcomes: list[Outcome]) -> None:
    await stores.submit(*(a_request() for _ in outcomes))
    claims = await stores.claim(await stores.worker())
    held = [await stores.job(claim.job_id) for claim in claims]
    completions = [
        await stores.settle(claim, outcome) for claim, outcome in zip(claims, outcomes, strict=True)
    ]
    answer = await stores.sync(completions=completions)
    assert answer.accepted == {claim.lease_id for claim in claims}
    for job, completion in zip(held, completions, strict=True):
        assert await stores.job(job.job_id) == completed(job, completion)


async def test_second_failure_adds_to_the_first(stores: Stores) -> None:
    job = await stores.submit_one(a_request(retry=RetryPolicy(base=timedelta(0), max_retries=1)))
    worker = await stores.worker()
    for message in ("first", "second"):
        [claim] = await stores.claim(worker)
        assert await stores.complete(claim, Failed(kind="Oops", message=message))
    record = await stores.job(job.job_id)
    assert record.status is JobState.DEAD
    assert [(error.attempt, error.message) for error in record.errors] == [(1, "first"), (2, "second")]
    assert record.error_message == "second"
    assert [event.to_state for event in record.history] == [
        *(JobState.SCHEDULED, JobState.RUNNING, JobState.FAILED, JobState.RETRYING),
        *(JobState.SCHEDULED, JobState.RUNNING, JobState.FAILED, JobState.DEAD),
    ]


async def test_success_after_a_failure_keeps_the_errors(stores: Stores) -> None:
    job = await stores.submit_one(a_request(retry=RetryPolicy(base=timedelta(0))))
    worker = await stores.worker()
    [claim] = await stores.claim(worker)
    assert await stores.complete(claim, Failed(kind="Oops", message="first"))
    [claim] = await stores.claim(worker)
    assert await stores.complete(claim, Succeeded(result=JsonText("1")))
    record = await stores.job(job.job_id)
    assert (record.status, record.error_message, record.result) == (JobState.SUCCESS, None, "1")
    assert [error.message for error in record.errors] == ["first"]
    assert record.attempt == 2


async def test_completion_is_taken_once(stores: Stores) -> None:
    job = await stores.submit_one()
    [claim] = await stores.claim(await stores.worker())
    completion = await stores.settle(claim, Succeeded())
    assert (await stores.sync(completions=[completion])).accepted == {claim.lease_id}
    record = await stores.job(job.job_id)
    assert (await stores.sync(completions=[completion])).accepted == frozenset()
    assert await stores.job(job.job_id) == record


async def test_one_fenced_completion_does_not_harm_its_neighbours(stores: Stores) -> None:
    await stores.submit(*(a_request() for _ in range(3)))
    claims = await stores.claim(await stores.worker())
    completions = [await stores.settle(claim, Succeeded()) for claim in claims]
    await stores.cancel(claims[1].job_id)
    answer = await stores.sync(completions=completions)
    assert answer.accepted == {claims[0].lease_id, claims[2].lease_id}
    states = [(await stores.job(claim.job_id)).status for claim in claims]
    assert states == [JobState.SUCCESS, JobState.CANCELED, JobState.SUCCESS]


async def test_old_lease_is_fenced_after_the_next_claim(stores: Stores) -> None:
    await stores.submit(a_request())
    worker = await stores.worker()
    [old] = await stores.claim(worker)
    late = await stores.settle(old, Succeeded(result=JsonText('"late"')))
    assert await stores.complete(old, WorkerLost(message="silence"))
    job = await stores.job(old.job_id)
    async with stores.units.begin() as unit:
        [locked] = await unit.jobs.lock([old.job_id])
        await unit.jobs.save([attrs.evolve(locked, scheduled_at=job.created_at)])
    [new] = await stores.claim(worker)
    assert (await stores.sync(completions=[late])).accepted == frozenset()
    start = Start(job_id=old.job_id, lease_id=old.lease_id, started_at=old.claimed_at, progress=JsonText("1"))
    assert (await stores.sync(starts=[start])).accepted == frozenset()
    record = await stores.job(old.job_id)
    assert record.lease is not None
    assert (record.lease.lease_id, record.lease.progress) == (new.lease_id, None)


async def test_start_is_recorded_once_and_progress_is_kept(stores: Stores) -> None:
    job = await stores.submit_one()
    answer = await stores.ask(await stores.worker(), start_count=0)
    [claim] = answer.claimed
    begun = answer.at + SECOND

    async def tell(started_at: timedelta, progress: str | None) -> None:
        start = Start(
            job_id=job.job_id,
            lease_id=claim.lease_id,
            started_at=answer.at + started_at,
            progress=None if progress is None else JsonText(progress),
        )
        assert (await stores.sync(starts=[start])).accepted == {claim.lease_id}

    await tell(SECOND, None)
    record = await stores.job(job.job_id)
    assert (record.status, record.started_at, record.attempt) == (JobState.RUNNING, begun, 1)
    for progress, seen in (('{"done": 1}', '{"done": 1}'), (None, '{"done": 1}'), ("2", "2")):
        await tell(HOUR, progress)
        record = await stores.job(job.job_id)
        assert record.lease is not None
        assert record.lease.progress == seen
        assert (record.started_at, record.lease.started_at, record.attempt) == (begun, begun, 1)


async def test_start_and_completion_may_come_together(stores: Stores) -> None:
    await stores.submit(a_request(), a_request())
    first, second = await stores.claim(await stores.worker(), start_count=1)
    at = await stores.now()
    answer = await stores.sync(
        completions=[await stores.settle(first, Succeeded())],
        starts=[Start(job_id=second.job_id, lease_id=second.lease_id, started_at=at)],
    )
    assert answer.accepted == {first.lease_id, second.lease_id}


@pytest.mark.parametrize("in_unit", [False, True])
async def test_end_that_missed_the_start_is_refused(stores: Stores, in_unit: bool) -> None:
    """As when a reaper reads what a silent worker holds, and that worker still reports the start."""

    async def taken(outcome: Outcome, seen: ClaimedJob) -> bool:
        completion = await stores.settle(seen, outcome)
        if not in_unit:
            return seen.lease_id in (await stores.sync(completions=[completion])).accepted
        async with stores.units.begin() as unit:
            return seen.lease_id in await unit.jobs.complete([completion])

    await stores.submit(a_request())
    [unstarted] = (await stores.ask(await stores.worker(), start_count=0)).claimed
    start = Start(job_id=unstarted.job_id, lease_id=unstarted.lease_id, started_at=unstarted.claimed_at)
    assert (await stores.sync(starts=[start])).accepted == {unstarted.lease_id}
    running = await stores.job(unstarted.job_id)
    for outcome in (WorkerLost(message="silence"), Released(reason="drained")):
        assert not await taken(outcome, unstarted)
    assert await stores.job(unstarted.job_id) == running
    assert await taken(WorkerLost(message="silence"), attrs.evolve(unstarted, started_at=start.started_at))
    job = await stores.job(unstarted.job_id)
    assert (job.status, job.attempt, job.worker_deaths) == (JobState.RETRYING, 1, 1)


async def test_held_are_the_leases_of_that_owner(stores: Stores) -> None:
    await stores.submit(*(a_request() for _ in range(3)))
    one, other = await stores.worker(), await stores.worker()
    first, second = await stores.claim(one, limit=2)
    [third] = await stores.claim(other)
    assert await stores.job_queue.held(one.incarnation) == {first.lease_id, second.lease_id}
    assert await stores.job_queue.held(other.incarnation) == {third.lease_id}
    assert await stores.complete(first, Succeeded())
    await stores.cancel(second.job_id)
    assert await stores.job_queue.held(one.incarnation) == frozenset()


async def test_history_and_errors_are_kept_within_their_limits(stores: Stores) -> None:
    job = await stores.submit_one()
    event = JobEvent(at=NOON, from_state=None, to_state=JobState.PENDING, attempt=0, reason="old")
    error = AttemptError(attempt=1, at=NOON, worker_id=None, kind="Old", message="old")
    async with stores.units.begin() as unit:
        [locked] = await unit.jobs.lock([job.job_id])
        full = attrs.evolve(locked, history=(event,) * HISTORY_LIMIT, errors=(error,) * ERRORS_LIMIT)
        await unit.jobs.save([full])
    [claim] = await stores.claim(await stores.worker())
    assert await stores.complete(claim, Failed(kind="New", message="new"))
    record = await stores.job(job.job_id)
    assert len(record.history) == HISTORY_LIMIT
    assert record.history[-1].to_state is JobState.RETRYING
    assert len(record.errors) == ERRORS_LIMIT
    assert [record.errors[0].kind, record.errors[-1].kind] == ["Old", "New"]


async def test_answer_carries_the_time_of_the_store(stores: Stores) -> None:
    before = await stores.now()
    at = (await stores.sync()).at
    assert before <= at <= await stores.now()


async def test_empty_delivery_and_strangers_change_nothing(stores: Stores) -> None:
    answer = await stores.sync()
    assert (answer.accepted, answer.claimed, answer.next_due_at) == (frozenset(), (), None)
    stranger = Start(job_id=a_new_job().job_id, lease_id=a_lease_id(), started_at=NOON)
    assert (await stores.sync(starts=[stranger])).accepted == frozenset()


async def test_claims_of_an_owner_are_found_again_as_they_were_answered(stores: Stores) -> None:
    await stores.submit(*(a_request() for _ in range(3)))
    one, other = await stores.worker(), await stores.worker()
    started = await stores.claim(one, limit=1)
    waiting = await stores.claim(one, limit=1, start_count=0)
    await stores.claim(other)
    found = await stores.job_queue.claims(one.incarnation)
    assert found == sorted([*started, *waiting], key=lambda claimed: claimed.job_id)
    assert await stores.complete(started[0], Succeeded())
    assert await stores.job_queue.claims(one.incarnation) == waiting
