"""Several at the same rows at the same moment: nobody gets what another has, and each thing happens once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from uuid import UUID

import psycopg
import pytest

from schedora.adapters.postgres import unit_of_work
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.statements import Statement, load
from schedora.adapters.system.clock import SystemClock
from schedora.adapters.system.randomness import SystemRandomness
from schedora.application.commands.cancel import CancelJob
from schedora.application.commands.group_commit import GroupCommit
from schedora.application.commands.queues import PurgeQueue
from schedora.application.commands.requeue import RequeueJob
from schedora.application.commands.workflows import CancelWorkflow
from schedora.application.errors import ApplicationError, Conflict, LockConflict
from schedora.application.pipeline.complete import CompleteJobs
from schedora.application.ports.job_queue import ClaimRequest, Start, SyncBatch
from schedora.application.ports.workflows import CountChange
from schedora.domain.ids import JobId, WorkerId, WorkflowId
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, Released, Succeeded, WorkerLost
from schedora_torture import invariants
from tests.builders import a_new_job, a_request
from tests.contract.postgres import postgres_stores
from tests.contract.stores import Stores
from tests.programs import PATIENCE_SECONDS
from tests.unit.application.bench import RecordedMetrics


@pytest.fixture
async def rivals(migrated_url: str) -> AsyncIterator[list[Stores]]:
    """The same store from several processes, as good as."""
    async with AsyncExitStack() as stack:
        databases = [await stack.enter_async_context(Database(migrated_url, pool_size=4)) for _ in range(4)]
        yield [postgres_stores(database) for database in databases]


@pytest.fixture
def stores(rivals: list[Stores]) -> Stores:
    return rivals[0]


@asynccontextmanager
async def someone(url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """With a transaction of his own, taken back in the end."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        yield connection
        await connection.rollback()


async def somebody_waits(url: str) -> None:
    """Until a statement waits for another's lock."""
    query = (
        "select pid from pg_stat_activity"
        " where datname = current_database() and wait_event_type = 'Lock' and state = 'active'"
    )
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        await psycopg.AsyncConnection.connect(url, autocommit=True) as connection,
    ):
        while not await (await connection.execute(query)).fetchone():
            await asyncio.sleep(0.005)


async def somebody_waits_for(connection: psycopg.AsyncConnection) -> None:
    """Until a statement waits for a lock of this one's: found sooner than over another connection, for whoever waits
    looks for a circle once, a second after it has begun.
    """
    query = "select pid from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid))"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await (await connection.execute(query)).fetchone():
            await asyncio.sleep(0.002)


async def count(url: str, table: str) -> int:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        [row] = await (await connection.execute(f"select count(*) from {table}".encode())).fetchall()
    return int(row[0])


async def a_diamond(stores: Stores, name: str = "flow") -> tuple[WorkflowId, JobId]:
    """A workflow of two jobs and one that waits for both, which is answered."""
    workflow_id = await stores.workflow(name)
    causes = await stores.submit(*[a_request(workflow_id=workflow_id) for _ in range(2)])
    ids = tuple(job.job_id for job in causes)
    effect = await stores.submit_one(
        a_request(workflow_id=workflow_id, depends_on=ids, queue="effects"), waits_for=2
    )
    async with stores.units.begin() as unit:
        await unit.workflows.count([CountChange(workflow_id=workflow_id, total=3)], at=await unit.now())
    return workflow_id, effect.job_id


def cancel_over(stores: Stores) -> CancelJob:
    return CancelJob(
        units=stores.units,
        reader=stores.job_reader,
        wakeup=stores.wakeup,
        events=stores.events,
        metrics=RecordedMetrics(),
    )


async def test_rivals_claim_disjoint_jobs_until_none_is_left(rivals: list[Stores]) -> None:
    jobs = await rivals[0].submit(*[a_request(priority=n % 11) for n in range(300)])
    claimed: list[UUID] = []

    async def drain(stores: Stores) -> None:
        worker = await stores.worker()
        while claims := await stores.claim(worker, limit=7):
            claimed.extend(claim.job_id for claim in claims)

    await asyncio.gather(*(drain(stores) for stores in rivals))
    # Whoever found a lock in the way may have left too early.
    await drain(rivals[0])
    assert sorted(claimed) == sorted(job.job_id for job in jobs)


@pytest.mark.parametrize("way", ["any number", "few", "with completions"])
async def test_a_claim_that_had_to_wait_is_not_older_than_what_it_claims(
    rivals: list[Stores], migrated_url: str, way: str
) -> None:
    """It sees what was committed while it waited, such as for a lock on a table."""
    stores, others = rivals[:2]
    first, second = await others.worker(), await stores.worker()
    job = await stores.submit_one()
    await stores.submit(a_request(type="other"), a_request(type="other"))
    [held] = await others.claim(first)
    batches = [
        SyncBatch(
            completions=[await stores.settle(other, Succeeded())] if way == "with completions" else [],
            claim=ClaimRequest(
                owner=second.incarnation,
                worker_id=WorkerId("w2"),
                queues=(),
                types=("work",),
                limit=1,
                start_count=1,
            ),
        )
        for other in await stores.claim(second, types=("other",), limit=2)
    ]
    if way == "any number":
        await stores.submit_one()
    await stores.job_queue.sync(batches[0])  # what is sent for the first time waits before it counts as sent
    async with someone(migrated_url) as other:
        await other.execute("lock table workers")
        asked = asyncio.create_task(stores.job_queue.sync(batches[1]))
        await somebody_waits_for(other)
        assert await others.complete(held, Released(reason="drained"))
        await other.rollback()
        answer = await asked
    [claim] = answer.claimed
    record = await stores.job(job.job_id)
    assert claim.job_id == job.job_id
    assert record.lease is not None
    assert (
        record.history[-1].at < record.lease.claimed_at == claim.claimed_at == claim.started_at == answer.at
    )


async def test_a_claim_passes_over_what_another_has_locked(stores: Stores, migrated_url: str) -> None:
    locked, free = await stores.submit(a_request(priority=9), a_request(priority=1))
    worker = await stores.worker()
    async with someone(migrated_url) as other:
        await other.execute("select from job_ready where job_id = %s for update", [locked.job_id])
        answer = await stores.ask(worker)
        assert [claim.job_id for claim in answer.claimed] == [free.job_id]
        assert answer.next_due_at is not None
        assert answer.next_due_at <= answer.at, "trying again soon is worth it"
    assert [claim.job_id for claim in await stores.claim(worker)] == [locked.job_id]


async def test_two_causes_that_end_at_once_release_their_effect_once(
    rivals: list[Stores], migrated_url: str
) -> None:
    one, other = rivals[:2]
    workers = [await stores.worker() for stores in (one, other)]
    for n in range(10):
        workflow_id, effect_id = await a_diamond(one, f"flow {n}")
        claims = [
            (await stores.claim(worker, limit=1))[0]
            for stores, worker in zip((one, other), workers, strict=True)
        ]
        completions = [await one.settle(claim, Succeeded()) for claim in claims]
        ended = await asyncio.gather(
            *(
                CompleteJobs(units=stores.units, wakeup=stores.wakeup)([completion])
                for stores, completion in zip((one, other), completions, strict=True)
            )
        )
        assert [len(completed.accepted) for completed in ended] == [1, 1]
        assert (await one.job(effect_id)).waits_for == 0
        [effect] = await one.claim(workers[0], queues=("effects",))
        assert effect.job_id == effect_id
        assert await count(migrated_url, "job_ready") == 0
        completion = await one.settle(effect, Succeeded())
        await CompleteJobs(units=one.units, wakeup=one.wakeup)([completion])
        workflow = await one.workflow_reader.get(workflow_id)
        assert workflow is not None
        assert (workflow.counts.succeeded, workflow.completed_at is not None) == (3, True)


async def test_a_cause_that_ends_waits_for_the_other_that_is_ending(
    rivals: list[Stores], migrated_url: str
) -> None:
    one, other = rivals[:2]
    _, effect_id = await a_diamond(one)
    claims = await one.claim(await one.worker())
    first, second = [await one.settle(claim, Succeeded()) for claim in claims]
    complete = CompleteJobs(units=other.units, wakeup=other.wakeup)
    async with one.callers_transaction() as connection:
        await CompleteJobs(units=one.units, wakeup=one.wakeup).within(connection, first)
        waiting = asyncio.create_task(complete([second]))
        await somebody_waits(migrated_url)
        assert not waiting.done()
        assert (await one.job(effect_id)).waits_for == 2
    assert (await waiting).accepted == {second.lease_id}
    assert (await one.job(effect_id)).waits_for == 0


async def test_who_advances_waits_for_who_has_the_workflow(rivals: list[Stores], migrated_url: str) -> None:
    one, other = rivals[:2]
    workflow_id, effect_id = await a_diamond(one)
    claims = await one.claim(await one.worker())
    completions = [await one.settle(claim, Succeeded()) for claim in claims]
    async with other.units.begin() as unit:
        await unit.workflows.lock([workflow_id])
        advancing = asyncio.create_task(one.units.advance(completions))
        await somebody_waits(migrated_url)
        assert [(await one.job(claim.job_id)).status for claim in claims] == [JobState.RUNNING] * 2
    assert (await advancing).accepted == {claim.lease_id for claim in claims}
    assert (await one.job(effect_id)).waits_for == 0
    assert await count(migrated_url, "job_leases") == 0


async def test_a_workflow_is_canceled_when_its_jobs_are_locked_and_not_before(
    rivals: list[Stores], migrated_url: str
) -> None:
    one, other = rivals[:2]
    workflow_id, _ = await a_diamond(one)
    job_id = min(job.job_id for job in (await one.workflow_reader.jobs(workflow_id)).jobs)
    cancel = CancelWorkflow(
        units=one.units,
        wakeup=one.wakeup,
        events=one.events,
        metrics=RecordedMetrics(),
        reader=one.workflow_reader,
    )
    async with other.units.begin() as unit:
        await unit.jobs.lock([job_id])
        canceling = asyncio.create_task(cancel(workflow_id))
        await somebody_waits(migrated_url)
        moved_at = await unit.now()
    await canceling
    canceled = await one.job(job_id)
    assert canceled.completed_at is not None
    assert canceled.completed_at > moved_at
    assert not invariants.of_job(canceled)


async def test_jobs_are_purged_when_they_are_locked_and_not_before(
    rivals: list[Stores], migrated_url: str
) -> None:
    one, other = rivals[:2]
    job_id = (await one.submit_one(a_request())).job_id
    purge = PurgeQueue(reader=one.job_reader, units=one.units, events=one.events, metrics=RecordedMetrics())
    async with other.units.begin() as unit:
        await unit.jobs.lock([job_id])
        purging = asyncio.create_task(purge(None))
        await somebody_waits(migrated_url)
        moved_at = await unit.now()
    assert await purging == 1
    purged = await one.job(job_id)
    assert purged.completed_at is not None
    assert purged.completed_at > moved_at


async def test_who_advances_knows_what_has_been_committed_since_he_began(
    rivals: list[Stores], migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = rivals[:2]
    workflow_id, _ = await a_diamond(one)
    claim, _ = await one.claim(await one.worker())
    completion = await one.settle(claim, Succeeded())
    # The statement as it is, but that it waits between its beginning and its look at the workflow.
    advance = load("advance")
    held = "from unnest"
    first, then = advance.text.split("held as materialized")
    assert held in then
    waits = Statement(
        f"{first.replace('with', 'with paused as materialized (select pg_advisory_xact_lock(4711)),', 1)}"
        f"held as materialized{then.replace(held, 'from paused cross join unnest', 1)}",
        advance.parameters,
    )
    monkeypatch.setattr(unit_of_work, "load", lambda _: waits)
    async with someone(migrated_url) as rival:
        await rival.execute("select pg_advisory_xact_lock(4711)")
        advancing = asyncio.create_task(one.units.advance([completion]))
        await somebody_waits(migrated_url)
        later = await other.submit_one(
            a_request(workflow_id=workflow_id, depends_on=(claim.job_id,)), waits_for=1
        )
        async with other.units.begin() as unit:
            await unit.workflows.lock([workflow_id])
            await unit.workflows.count([CountChange(workflow_id=workflow_id, total=1)], at=await unit.now())
        await rival.rollback()
        assert (await advancing).accepted == {claim.lease_id}
    assert (await one.job(later.job_id)).waits_for == 0


@pytest.mark.parametrize("status", [JobState.SUCCESS, JobState.RETRYING])
async def test_an_end_beside_the_report_of_its_start_leaves_no_lease_behind(
    stores: Stores, migrated_url: str, status: JobState
) -> None:
    await stores.submit(*[a_request() for _ in range(3)])
    claims = await stores.claim(await stores.worker())
    outcome = Succeeded() if status is JobState.SUCCESS else Failed(kind="Oops", message="no")
    completions = [await stores.settle(claim, outcome) for claim in claims]
    async with someone(migrated_url) as other:
        await other.execute("update job_leases set progress = '1' where job_id = %s", [claims[1].job_id])
        ending = asyncio.create_task(stores.sync(completions=completions))
        await somebody_waits(migrated_url)
        await other.commit()
        assert len((await ending).accepted) == 3
    assert await count(migrated_url, "job_leases") == 0
    assert {(await stores.job(claim.job_id)).status for claim in claims} == {status}


async def test_an_end_that_misses_a_start_just_being_recorded_is_refused(
    stores: Stores, migrated_url: str
) -> None:
    """The reaper has read what a silent worker holds, and decides; that worker's report commits in between."""
    await stores.submit(a_request())
    [claim] = (await stores.ask(await stores.worker(), start_count=0)).claimed
    missed = await stores.settle(claim, WorkerLost(message="silence"))
    async with someone(migrated_url) as other:
        await other.execute("update job_leases set started_at = claimed_at")
        ending = asyncio.create_task(stores.sync(completions=[missed]))
        await somebody_waits(migrated_url)
        await other.commit()
        assert (await ending).accepted == frozenset()
    assert (await stores.job(claim.job_id)).status is JobState.RUNNING


async def test_two_reports_of_one_run_at_once_are_both_accepted(stores: Stores, migrated_url: str) -> None:
    await stores.submit(a_request())
    [claim] = await stores.claim(await stores.worker())
    start = Start(job_id=claim.job_id, lease_id=claim.lease_id, started_at=claim.claimed_at)
    async with someone(migrated_url) as other:
        await other.execute("update job_leases set progress = '1'")
        telling = asyncio.create_task(stores.sync(starts=[start]))
        await somebody_waits(migrated_url)
        await other.commit()
        assert (await telling).accepted == {claim.lease_id}


async def test_a_cancel_that_comes_first_fences_the_completion(stores: Stores, migrated_url: str) -> None:
    job = await stores.submit_one()
    [claim] = await stores.claim(await stores.worker())
    completion = await stores.settle(claim, Succeeded())
    async with stores.units.begin() as unit:
        [locked] = await unit.jobs.lock([job.job_id])
        await unit.jobs.save([locked.canceled(now=await unit.now(), reason="unwanted")])
        completing = asyncio.create_task(stores.sync(completions=[completion]))
        await somebody_waits(migrated_url)
    assert (await completing).accepted == frozenset()
    assert (await stores.job(job.job_id)).status is JobState.CANCELED


async def test_a_cancel_that_comes_second_finds_the_job_ended(stores: Stores, migrated_url: str) -> None:
    job = await stores.submit_one()
    [claim] = await stores.claim(await stores.worker())
    completion = await stores.settle(claim, Succeeded())
    cancel = cancel_over(stores)
    async with stores.units.begin() as unit:
        assert await unit.jobs.complete([completion]) == {claim.lease_id}
        canceling = asyncio.create_task(cancel(job.job_id))
        await somebody_waits(migrated_url)
    with pytest.raises(Conflict, match="already ended: it is SUCCESS"):
        await canceling


async def test_of_many_requeues_exactly_one_wins_and_none_is_in_the_way_of_another(
    rivals: list[Stores],
) -> None:
    one = rivals[0]
    cancel = cancel_over(one)
    requeues = [
        RequeueJob(units=stores.units, reader=stores.job_reader, wakeup=stores.wakeup, events=stores.events)
        for stores in rivals
    ]
    job = await one.submit_one()
    for _ in range(10):
        await cancel(job.job_id)
        answers = await asyncio.gather(
            *(requeue(job.job_id) for requeue in requeues * 5), return_exceptions=True
        )
        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        assert {type(error) for error in refused} == {Conflict}
        assert len(refused) == len(answers) - 1


async def test_of_a_cancel_and_a_completion_exactly_one_wins(rivals: list[Stores]) -> None:
    one, other = rivals[:2]
    worker = await one.worker()
    cancel = cancel_over(other)
    for _ in range(30):
        job = await one.submit_one()
        [claim] = await one.claim(worker)
        completion = await one.settle(claim, Succeeded())
        answer, canceled = await asyncio.gather(
            one.sync(completions=[completion]), cancel(job.job_id), return_exceptions=True
        )
        assert not isinstance(answer, BaseException)
        status = (await one.job(job.job_id)).status
        if answer.accepted:
            assert isinstance(canceled, Conflict)
            assert status is JobState.SUCCESS
        else:
            assert not isinstance(canceled, BaseException)
            assert status is JobState.CANCELED


async def test_a_job_that_moves_while_it_is_waited_for_is_locked_where_it_then_is(
    stores: Stores, migrated_url: str
) -> None:
    job = await stores.submit_one()
    worker = await stores.worker()
    [claim] = await stores.claim(worker)

    async def lock() -> list[JobState]:
        async with stores.units.begin() as unit:
            found = await unit.jobs.lock([job.job_id])
            # Nobody else gets it meanwhile.
            assert await stores.claim(worker) == []
            return [one.status for one in found]

    back = await stores.settle(claim, Released(reason="draining"))
    async with stores.units.begin() as unit:
        assert await unit.jobs.complete([back]) == {claim.lease_id}
        locking = asyncio.create_task(lock())
        await somebody_waits(migrated_url)
    assert await locking == [JobState.PENDING]
    assert len(await stores.claim(worker)) == 1


async def test_a_batch_caught_in_a_deadlock_is_run_again(stores: Stores, migrated_url: str) -> None:
    await stores.submit(a_request(), a_request())
    claims = sorted(await stores.claim(await stores.worker()), key=lambda claim: claim.job_id)
    completions = [await stores.settle(claim, Succeeded()) for claim in claims]
    first, second = [claim.job_id for claim in claims]
    lock = "select from job_leases where job_id = %s for update"
    async with someone(migrated_url) as other:
        await other.execute("set local deadlock_timeout = '1h'")  # so that it is not the one that gives up
        await other.execute(lock, [second])
        syncing = asyncio.create_task(stores.job_queue.sync(SyncBatch(completions=completions)))
        await somebody_waits_for(other)
        await other.execute(lock, [first])
    assert (await syncing).accepted == {claim.lease_id for claim in claims}


async def test_a_unit_caught_in_a_deadlock_says_that_trying_again_helps(
    stores: Stores, migrated_url: str
) -> None:
    job, other_job = await stores.submit(a_request(), a_request())
    lock = "select from job_ready where job_id = %s for update"

    async def lock_both() -> None:
        async with stores.units.begin() as unit:
            await unit.jobs.lock([job.job_id, other_job.job_id])

    async with someone(migrated_url) as other:
        await other.execute("set local deadlock_timeout = '1h'")
        await other.execute(lock, [max(job.job_id, other_job.job_id)])
        locking = asyncio.create_task(lock_both())
        await somebody_waits_for(other)
        await other.execute(lock, [min(job.job_id, other_job.job_id)])
        with pytest.raises(LockConflict, match="got in each other's way"):
            await locking


async def test_rivals_with_common_keys_in_another_order_do_not_wait_in_a_circle(rivals: list[Stores]) -> None:
    for round_ in range(5):
        requests = [a_request(idempotency_key=f"{round_} {n}") for n in range(50)]
        answers = await asyncio.gather(
            *(stores.submit(*(requests if n % 2 else reversed(requests))) for n, stores in enumerate(rivals)),
            return_exceptions=True,
        )
        assert not [answer for answer in answers if isinstance(answer, ApplicationError)]
        ids = [
            {job.request.idempotency_key: job.job_id for job in answer}
            for answer in answers
            if not isinstance(answer, BaseException)
        ]
        assert ids == [ids[0]] * len(rivals), "one job for each key, whoever stored it"


async def test_counts_folded_by_rivals_add_up(rivals: list[Stores]) -> None:
    one = rivals[0]
    worker = await one.worker()
    for _ in range(3):
        await one.submit(*[a_request() for _ in range(50)])
        for claim in await one.claim(worker, limit=50):
            await one.complete(claim, Succeeded())
    answers = await asyncio.gather(*(stores.queues.stats() for stores in rivals for _ in range(3)))
    assert {answer.by_queue["default"].by_status[JobState.SUCCESS] for answer in answers} == {150}
    assert (await one.queues.stats()).by_queue["default"].by_status == {JobState.SUCCESS: 150}


def group_over(stores: Stores) -> GroupCommit:
    chance = SystemRandomness(SystemClock())
    return GroupCommit(
        job_writer=stores.job_writer, events=stores.events, metrics=RecordedMetrics(), randomness=chance
    )


async def test_a_key_that_is_held_holds_up_only_its_own(stores: Stores, migrated_url: str) -> None:
    group = group_over(stores)
    held = a_request(idempotency_key="held")
    await group.submit(a_request())  # the queue is there
    async with someone(migrated_url) as other:
        async with stores.units.join(other) as unit:
            [first] = await unit.jobs.add([a_new_job(held)])
        tasks = [
            asyncio.create_task(group.submit(request))
            for request in (a_request(), held, a_request(), held, a_request())
        ]
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert [(await tasks[place]).created for place in (0, 2, 4)] == [True, True, True]
            assert (await group.submit(a_request())).created
        assert not tasks[1].done()
        assert not tasks[3].done()
        await other.commit()
    for task in (tasks[1], tasks[3]):
        answer = await task
        assert (answer.created, answer.same_request, answer.job_id) == (False, True, first.job_id)


@pytest.mark.parametrize("seed", range(5))
async def test_rivals_who_submit_one_by_one_get_one_job_a_key(rivals: list[Stores], seed: int) -> None:
    chance = Random(seed)
    groups = [group_over(stores) for stores in rivals]
    requests = [
        a_request(
            idempotency_key=chance.choice([None, *(f"k{number}" for number in range(12))]),
            priority=chance.choice([4, 5]),
        )
        for _ in range(120)
    ]
    answers = await asyncio.gather(*(chance.choice(groups).submit(request) for request in requests))
    makers = {
        answer.job_id: request for request, answer in zip(requests, answers, strict=True) if answer.created
    }
    owners: dict[str, set[JobId]] = {}
    for request, answer in zip(requests, answers, strict=True):
        if request.idempotency_key is None:
            assert answer.created
        else:
            owners.setdefault(request.idempotency_key, set()).add(answer.job_id)
        maker = makers[answer.job_id]
        assert answer.same_request is (maker.fingerprint() == request.fingerprint())
        assert answer.job.request == maker.as_stored(maker.idempotency_key or str(answer.job_id))
    assert all(len(jobs) == 1 for jobs in owners.values())
    assert len(makers) == len(owners) + sum(request.idempotency_key is None for request in requests)
    stored = await rivals[0].claim(await rivals[0].worker(), limit=1_000)
    assert {claim.job_id for claim in stored} == set(makers)
