"""What is known of a job, and that "ready" means what a claim would take."""

from datetime import timedelta
from random import Random
from typing import Any
from uuid import uuid4

import pytest

from schedora.application.pipeline.complete import CompleteJobs
from schedora.application.ports.explain_inputs_reader import HOPS_MAX, UPSTREAM_MAX
from schedora.application.ports.metrics import Gauge
from schedora.application.ports.shared_counters import Series
from schedora.diagnosis.why.inputs import ExplainInputs, QueuePosition
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.events import AttemptError
from schedora.domain.ids import JobId, WorkerId
from schedora.domain.job import UPSTREAM_FAILED
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, Outcome, Released, Snoozed, Succeeded
from schedora.domain.retry import RetryPolicy
from schedora.domain.worker import Worker, WorkerState
from tests.builders import HOUR, NOON, a_request
from tests.contract.situations import AT_ONCE, LATER, Situation, bring_about
from tests.contract.stores import Stores
from tests.contract.test_process_reports import an_identity as a_process

S = JobState


async def explain_inputs_of(stores: Stores, job_id: JobId) -> ExplainInputs:
    inputs = await stores.explain_inputs_reader.inputs(job_id)
    assert inputs is not None
    return inputs


async def ahead_of(stores: Stores, job_id: JobId) -> int:
    position = await stores.explain_inputs_reader.position(
        await explain_inputs_of(stores, job_id), ahead_max=1_000
    )
    assert position is not None
    assert not position.at_least
    return position.ahead


async def end(stores: Stores, claim: ClaimedJob, outcome: Outcome) -> None:
    """With all that follows for those that depend on it."""
    complete = CompleteJobs(units=stores.units, wakeup=stores.wakeup)
    assert (await complete([await stores.settle(claim, outcome)])).accepted


async def test_nothing_is_known_of_a_job_that_is_not_there(stores: Stores) -> None:
    assert await stores.explain_inputs_reader.inputs(JobId(uuid4())) is None


@pytest.mark.parametrize("situation", Situation)
async def test_facts_are_those_of_the_record(stores: Stores, situation: Situation) -> None:
    case = await bring_about(stores, situation)
    before = await stores.now()
    inputs = await explain_inputs_of(stores, case.job.job_id)
    job, request = await stores.job(case.job.job_id), case.job.request
    assert before <= inputs.at <= await stores.now()
    for name in ("job_id", "status", "created_at", "scheduled_at", "waits_for", "attempt", "completed_at"):
        assert getattr(inputs, name) == getattr(job, name), name
    for name in ("type", "queue", "priority", "timeout"):
        assert getattr(inputs, name) == getattr(request, name), name
    assert (inputs.last_move, inputs.last_error) == (
        job.history[-1] if job.history else None,
        job.errors[-1] if job.errors else None,
    )
    assert (inputs.holder is not None) == (job.lease is not None)
    assert (inputs.worker_id, inputs.started_at) == (
        (job.worker_id, job.started_at) if job.ended else (None, None)
    )
    assert inputs.ready == (situation in {Situation.READY, Situation.RETRYING})
    assert bool(inputs.workers) == (job.status in {S.PENDING, S.RETRYING})
    assert [cause.job_id for cause in inputs.upstream] == ([case.upstream] if case.upstream else [])


async def test_the_traceback_of_the_last_error_stays_where_it_is(stores: Stores) -> None:
    await stores.submit_one(a_request(retry=AT_ONCE))
    [claim] = await stores.claim(await stores.worker())
    await stores.complete(claim, Failed(kind="Oops", message="it failed", traceback="line 1\nline 2"))
    error = (await explain_inputs_of(stores, claim.job_id)).last_error
    assert error == AttemptError(
        attempt=1,
        at=error.at if error else claim.claimed_at,
        worker_id=claim.worker_id,
        kind="Oops",
        message="it failed",
    )


async def test_a_holder_is_told_with_what_it_runs(stores: Stores) -> None:
    worker = await stores.worker(worker_id=WorkerId("w9"), max_concurrent_jobs=4)
    await stores.submit(*(a_request() for _ in range(3)))
    claims = await stores.claim(worker, start_count=2)
    running, claimed = [(await explain_inputs_of(stores, claims[place].job_id)).holder for place in (0, 2)]
    assert running is not None
    assert claimed is not None
    assert running.worker_id == "w9"
    assert (running.status, running.slots, running.running_jobs) == (WorkerState.ACTIVE, 4, 2)
    assert running.last_heartbeat == worker.last_heartbeat
    assert running.claimed_at == claims[0].claimed_at
    assert (running.started_at, claimed.started_at) == (claims[0].started_at, None)


async def test_a_holder_that_is_not_registered_any_more_is_told_by_name(stores: Stores) -> None:
    worker = await stores.worker()
    await stores.submit_one()
    [claim] = await stores.claim(worker)
    await stores.workers.set_status([worker.incarnation], WorkerState.STALE)
    holder = (await explain_inputs_of(stores, claim.job_id)).holder
    assert holder is not None
    assert holder.status is WorkerState.STALE


async def test_workers_are_told_as_far_as_they_matter(stores: Stores) -> None:
    job = await stores.submit_one(a_request(queue="mail"))
    taker = await stores.worker(worker_id=WorkerId("w1"), queues=("mail", "other"), max_concurrent_jobs=2)
    elsewhere = await stores.worker(worker_id=WorkerId("w2"), queues=("other",))
    await stores.worker(worker_id=WorkerId("w3"), types=("play",))
    draining = await stores.worker(worker_id=WorkerId("w4"))
    gone = await stores.worker(worker_id=WorkerId("w5"))
    await stores.submit(a_request(queue="other"), a_request(queue="other"))
    [held] = await stores.claim(taker, queues=("other",), limit=1)
    assert await stores.claim(elsewhere, queues=("other",))
    await stores.workers.set_status([draining.incarnation], WorkerState.DRAINING)
    await stores.workers.set_status([gone.incarnation], WorkerState.STOPPED)
    inputs = await explain_inputs_of(stores, job.job_id)
    told = [(w.worker_id, w.status, w.knows_type, w.serves_queue, w.held_jobs) for w in inputs.workers]
    active = WorkerState.ACTIVE
    assert told == [
        ("w1", active, True, True, 1),
        ("w2", active, True, False, 0),
        ("w3", active, False, True, 0),
        ("w4", WorkerState.DRAINING, True, True, 0),
    ]
    assert [(w.worker_id, w.free_slots) for w in inputs.takers] == [("w1", 1)]
    assert inputs.workers[0].last_heartbeat == taker.last_heartbeat
    assert held.job_id != job.job_id


async def test_a_pause_is_told_with_its_time(stores: Stores) -> None:
    job = await stores.submit_one(a_request(queue="mail"))
    assert (await explain_inputs_of(stores, job.job_id)).paused_at is None
    paused = await stores.queues.pause("mail")
    assert (await explain_inputs_of(stores, job.job_id)).paused_at == paused.paused_at


async def test_what_stands_in_the_way_is_told_with_what_it_does(stores: Stores) -> None:
    worker = await stores.worker()
    flow = await stores.workflow()
    runs, waits, late, done = [
        await stores.submit_one(a_request(workflow_id=flow, key=key, priority=priority, **more))
        for key, priority, more in (
            ("runs", 10, {}),
            ("waits", 5, {"type": "unknown"}),
            ("late", 5, {"scheduled_at": await stores.now() + HOUR}),
            ("done", 9, {}),
        )
    ]
    causes = (runs.job_id, waits.job_id, late.job_id, done.job_id)
    job = await stores.submit_one(a_request(workflow_id=flow, depends_on=causes), waits_for=4)
    claims = await stores.claim(worker)
    assert [claim.key for claim in claims] == ["runs", "done"]
    await end(stores, claims[1], Succeeded())
    inputs = await explain_inputs_of(stores, job.job_id)
    assert inputs.waits_for == 3
    told = [(u.key, u.status, u.worker_id, u.type) for u in inputs.upstream]
    assert told == [
        ("runs", S.RUNNING, "w1", "work"),
        ("waits", S.PENDING, None, "unknown"),
        ("late", S.PENDING, None, "work"),
    ]
    assert [u.since for u in inputs.upstream] == [claims[0].started_at, waits.scheduled_at, late.scheduled_at]
    assert inputs.root is None


async def chain(stores: Stores, length: int) -> list[JobId]:
    """Jobs each of which waits for the one before."""
    flow = await stores.workflow()
    ids: list[JobId] = []
    for place in range(length):
        request = a_request(workflow_id=flow, key=f"s{place}", depends_on=tuple(ids[-1:]))
        ids.append((await stores.submit_one(request, waits_for=min(place, 1))).job_id)
    return ids


async def test_the_way_to_the_first_cause_is_followed(stores: Stores) -> None:
    ids = await chain(stores, 4)
    inputs = await explain_inputs_of(stores, ids[3])
    assert [u.key for u in inputs.upstream] == ["s2"]
    assert inputs.upstream[0].waits_for == 1
    assert inputs.root is not None
    assert inputs.root.key == "s0"
    assert (await explain_inputs_of(stores, ids[2])).root is not None
    assert (await explain_inputs_of(stores, ids[1])).root is None


async def test_the_way_has_an_end(stores: Stores) -> None:
    ids = await chain(stores, HOPS_MAX + 3)
    root = (await explain_inputs_of(stores, ids[-1])).root
    assert root is not None
    assert root.key == "s2"


async def test_of_many_that_stand_in_the_way_some_are_told(stores: Stores) -> None:
    flow = await stores.workflow()
    causes = await stores.submit(*(a_request(workflow_id=flow) for _ in range(UPSTREAM_MAX + 5)))
    ids = tuple(cause.job_id for cause in causes)
    job = await stores.submit_one(a_request(workflow_id=flow, depends_on=ids), waits_for=len(ids))
    inputs = await explain_inputs_of(stores, job.job_id)
    assert inputs.waits_for == UPSTREAM_MAX + 5
    assert [u.job_id for u in inputs.upstream] == list(ids[:UPSTREAM_MAX])


async def test_a_job_canceled_for_a_failure_far_up_knows_where_it_was(stores: Stores) -> None:
    worker = await stores.worker()
    ids = await chain(stores, 3)
    [claim] = await stores.claim(worker)
    await end(stores, claim, Failed(kind="Oops", message="it broke", retryable=False))
    near, far = [await explain_inputs_of(stores, job_id) for job_id in ids[1:]]
    assert [(u.key, u.status, u.error_kind, u.error_message) for u in near.upstream] == [
        ("s0", S.DEAD, "Oops", "it broke")
    ]
    assert near.root is None
    assert [(u.key, u.status) for u in far.upstream] == [("s1", S.CANCELED)]
    assert far.root == near.upstream[0]


async def test_when_the_last_of_those_that_it_waited_for_succeeded_is_told(stores: Stores) -> None:
    worker = await stores.worker()
    flow = await stores.workflow()
    first, last = [await stores.submit_one(a_request(workflow_id=flow)) for _ in range(2)]
    job = await stores.submit_one(
        a_request(workflow_id=flow, depends_on=(first.job_id, last.job_id)), waits_for=2
    )
    for claim in await stores.claim(worker):
        assert (await explain_inputs_of(stores, job.job_id)).released_at is None
        await end(stores, claim, Succeeded())
    inputs = await explain_inputs_of(stores, job.job_id)
    ends = [(await stores.job(cause.job_id)).completed_at for cause in (first, last)]
    assert inputs.released_at == max(moment for moment in ends if moment is not None)
    assert inputs.ready_since == inputs.released_at > inputs.scheduled_at
    await stores.claim(worker)
    assert (await explain_inputs_of(stores, job.job_id)).released_at is None


async def test_what_has_failed_is_told_first_and_what_waits_for_others_last(stores: Stores) -> None:
    worker = await stores.worker()
    flow = await stores.workflow()
    runs, far, dead = [
        await stores.submit_one(a_request(workflow_id=flow, key=key, type=name))
        for key, name in (("runs", "work"), ("far", "unknown"), ("dead", "work"))
    ]
    deep = await stores.submit_one(
        a_request(workflow_id=flow, key="deep", depends_on=(far.job_id,)), waits_for=1
    )
    near = await stores.submit_one(a_request(workflow_id=flow, key="near", type="unknown"))
    causes = (deep.job_id, near.job_id, runs.job_id)
    waits = await stores.submit_one(a_request(workflow_id=flow, depends_on=causes), waits_for=3)
    failed = await stores.submit_one(
        a_request(workflow_id=flow, depends_on=(*causes, dead.job_id)), waits_for=4
    )
    claims = {claim.key: claim for claim in await stores.claim(worker)}
    await end(stores, claims["dead"], Failed(kind="Oops", message="it broke", retryable=False))
    inputs = await explain_inputs_of(stores, waits.job_id)
    assert [u.key for u in inputs.upstream] == ["runs", "near", "deep"]
    assert inputs.root is None, "the first of them waits for nothing"
    inputs = await explain_inputs_of(stores, failed.job_id)
    assert inputs.status is S.CANCELED
    assert [u.key for u in inputs.upstream] == ["dead", "runs", "near", "deep"]


async def test_the_way_ends_where_somebody_canceled(stores: Stores) -> None:
    ids = await chain(stores, 3)
    await stores.cancel(ids[1], "enough of it")
    await stores.cancel(ids[2], UPSTREAM_FAILED)
    inputs = await explain_inputs_of(stores, ids[2])
    assert [(u.key, u.status) for u in inputs.upstream] == [("s1", S.CANCELED)]
    assert inputs.root is None, "what that one had waited for has nothing to do with it"


async def test_jobs_of_higher_priority_or_earlier_time_are_ahead(stores: Stores) -> None:
    await stores.worker(types=("work", "play"), queues=("default", "mail", "paused"))
    now = await stores.now()
    await stores.submit(
        a_request(priority=9),
        a_request(priority=9, scheduled_at=now + HOUR),
        a_request(priority=9, type="unknown"),
        a_request(priority=9, queue="unserved"),
        a_request(priority=9, queue="paused"),
        a_request(priority=5, queue="mail", type="play", scheduled_at=now - HOUR),
        a_request(priority=5),
        a_request(priority=1, scheduled_at=now - HOUR),
    )
    job = await stores.submit_one(a_request(priority=5))
    await stores.submit(a_request(priority=5))
    await stores.queues.pause("paused")
    assert await ahead_of(stores, job.job_id) == 3


async def test_what_no_taker_of_this_job_would_take_is_not_ahead(stores: Stores) -> None:
    await stores.worker()
    await stores.worker(types=("play",))
    draining = await stores.worker(types=("work", "play"))
    await stores.workers.set_status([draining.incarnation], WorkerState.DRAINING)
    await stores.submit(a_request(type="play"), a_request())
    job = await stores.submit_one()
    assert await ahead_of(stores, job.job_id) == 1


@pytest.mark.parametrize(
    ("ahead_max", "position"),
    [
        (4, QueuePosition(ahead=4)),
        (3, QueuePosition(ahead=3, at_least=True)),
        (1, QueuePosition(ahead=1, at_least=True)),
    ],
)
async def test_counting_has_an_end(stores: Stores, ahead_max: int, position: QueuePosition) -> None:
    await stores.worker(types=("work", "play"))
    await stores.submit(*(a_request(type=name, priority=9) for name in ("work", "play") for _ in range(2)))
    job = await stores.submit_one()
    assert (
        await stores.explain_inputs_reader.position(
            await explain_inputs_of(stores, job.job_id), ahead_max=ahead_max
        )
        == position
    )


async def test_a_job_that_is_gone_meanwhile_has_the_place_that_it_had(stores: Stores) -> None:
    worker = await stores.worker()
    await stores.submit(*(a_request() for _ in range(3)))
    job = await stores.submit_one()
    inputs = await explain_inputs_of(stores, job.job_id)
    await stores.claim(worker, limit=2)
    assert await stores.explain_inputs_reader.position(inputs, ahead_max=10) == QueuePosition(ahead=1)
    await stores.claim(worker)
    assert await stores.explain_inputs_reader.position(inputs, ahead_max=10) == QueuePosition(ahead=0)


CLAIM_RATE = Series(Gauge.WORKER_CLAIM_RATE.value, ())


async def report(stores: Stores, number: int, hostname: str, pid: int, per_second: float | None) -> None:
    identity = a_process(number, hostname=hostname, pid=pid)
    gauges = {Series("worker_slots", ()): 10.0} | ({} if per_second is None else {CLAIM_RATE: per_second})
    await stores.process_reports.put(identity, clock_at=NOON, gauges=gauges)


async def rate_for(stores: Stores, job_id: JobId) -> float | None:
    position = await stores.explain_inputs_reader.position(
        await explain_inputs_of(stores, job_id), ahead_max=10
    )
    assert position is not None
    return position.claims_per_second


async def test_the_rate_is_what_the_processes_of_takers_have_told(stores: Stores) -> None:
    job = await stores.submit_one()
    await stores.worker(hostname="a", pid=1)
    assert await rate_for(stores, job.job_id) is None, "nobody has told any"
    await report(stores, 1, "a", 1, None)
    assert await rate_for(stores, job.job_id) is None, "it was too early to say"
    await report(stores, 1, "a", 1, 2.5)
    assert await rate_for(stores, job.job_id) == 2.5
    await stores.worker(hostname="a", pid=2)
    assert await rate_for(stores, job.job_id) == 2.5, "as far as they told"
    await report(stores, 2, "a", 2, 40)
    await stores.worker(hostname="b", pid=1, types=("play",))
    await report(stores, 3, "b", 1, 1_000)
    await report(stores, 4, "c", 1, 1_000)
    assert await rate_for(stores, job.job_id) == 42.5
    await report(stores, 1, "a", 1, 0)
    await report(stores, 2, "a", 2, 0)
    assert await rate_for(stores, job.job_id) == 0


TYPES, QUEUES = ("work", "play", "rest"), ("default", "mail", "slow")
OUTCOMES = (
    Succeeded(),
    Failed(kind="Oops", message="it failed"),
    LATER,
    Failed(kind="Oops", message="hopeless", retryable=False),
    Released(reason="drained"),
    Snoozed(delay=timedelta(0)),
    Snoozed(delay=HOUR),
)


async def a_world(stores: Stores, chance: Random, *, workers: int) -> tuple[list[Worker], list[JobId]]:
    """Workers and jobs in situations of all kinds."""

    def some(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(chance.sample(names, chance.randint(1, len(names))))

    crew = [
        await stores.worker(
            worker_id=WorkerId(f"w{n}"), types=some(TYPES), queues=chance.choice(((), some(QUEUES)))
        )
        for n in range(workers)
    ]
    flow, now = await stores.workflow(), await stores.now()
    ids: list[JobId] = []

    async def submit(amount: int) -> None:
        for _ in range(amount):
            fields: dict[str, Any] = {
                "type": chance.choice(TYPES),
                "queue": chance.choice(QUEUES),
                "priority": chance.choice((1, 5, 5, 9)),
                "retry": RetryPolicy(base=timedelta(0)),
                "scheduled_at": chance.choice((None, None, now, now - HOUR, now + HOUR)),
            }
            waits_for = 0
            if chance.random() < 0.3:
                fields["workflow_id"] = flow
                steps = [job_id for job_id in ids if (await stores.job(job_id)).request.workflow_id]
                if steps:
                    cause = await stores.job(chance.choice(steps))
                    fields["depends_on"] = (cause.job_id,)
                    waits_for = int(cause.status is not S.SUCCESS)
            ids.append((await stores.submit_one(a_request(**fields), waits_for=waits_for)).job_id)

    await submit(12)
    for worker in crew:
        claims = await stores.claim(
            worker, types=worker.identity.types, queues=worker.identity.queues, limit=4, start_count=3
        )
        for claim in claims:
            if claim.started_at is not None and chance.random() < 0.7:
                await end(stores, claim, chance.choice(OUTCOMES))
    await submit(12)
    for job_id in ids:
        job = await stores.job(job_id)
        if not job.ended and chance.random() < 0.1:
            await stores.cancel(job_id)
        elif job.status in {S.DEAD, S.CANCELED} and chance.random() < 0.3:
            await stores.requeue(job_id)
    for queue in QUEUES:
        if chance.random() < 0.25:
            await stores.queues.pause(queue)
    return crew, ids


@pytest.mark.parametrize("seed", range(20))
async def test_ready_is_what_claims_with_room_take(stores: Stores, seed: int) -> None:
    chance = Random(seed)
    crew, ids = await a_world(stores, chance, workers=chance.randint(0, 4))
    for worker in crew:
        if chance.random() < 0.5:
            status = chance.choice((WorkerState.DRAINING, WorkerState.STALE, WorkerState.STOPPED))
            await stores.workers.set_status([worker.incarnation], status)
    ready = {job_id for job_id in ids if (await explain_inputs_of(stores, job_id)).ready}
    taken = set()
    for worker in crew:
        claims = await stores.claim(
            worker, types=worker.identity.types, queues=worker.identity.queues, limit=1_000
        )
        taken |= {claim.job_id for claim in claims}
    assert ready == taken
    assert not any([(await explain_inputs_of(stores, job_id)).ready for job_id in ids])


@pytest.mark.parametrize("seed", range(8))
async def test_as_many_are_ahead_as_a_claim_takes_before(stores: Stores, seed: int) -> None:
    [worker], ids = await a_world(stores, Random(1_000 + seed), workers=1)
    ahead = {
        job_id: await ahead_of(stores, job_id)
        for job_id in ids
        if (await explain_inputs_of(stores, job_id)).ready
    }
    claims = await stores.claim(
        worker, types=worker.identity.types, queues=worker.identity.queues, limit=1_000
    )
    assert ahead == {claim.job_id: place for place, claim in enumerate(claims)}
