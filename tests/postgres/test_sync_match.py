"""Jobs that are leased to a worker as they are stored: which are, which are not, and what becomes of them."""

import asyncio
from collections.abc import AsyncIterator, Collection
from datetime import timedelta
from itertools import count
from math import inf
from random import Random
from typing import Any

import attrs
import psycopg
import pytest
from attrs import define, field

from schedora.adapters.postgres import job_writer as job_writer_module
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.job_writer import PostgresJobWriter
from schedora.adapters.postgres.jobs import PostgresJobStore
from schedora.adapters.postgres.wakeup import PostgresWakeup
from schedora.adapters.telemetry.local_counters import LocalCounters
from schedora.application.commands.queues import PurgeQueue
from schedora.application.ports.job_queue import Start
from schedora.application.ports.jobs import NewJob, Submission
from schedora.application.ports.worker_availability import AvailableWorker
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.errors import IllegalMove
from schedora.domain.ids import IncarnationId, JobId, JsonText, LeaseToken
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, Outcome, Released, Snoozed, Succeeded, TimedOut, WorkerLost
from schedora.domain.retry import RetryPolicy
from schedora.domain.worker import Worker, WorkerState
from tests.builders import HOUR, a_lease_id, a_new_job, a_request, an_incarnation
from tests.contract.postgres import postgres_stores
from tests.contract.stores import Stores
from tests.postgres.connections import held_listener_lock
from tests.postgres.test_concurrency import count as count_rows
from tests.postgres.test_concurrency import somebody_waits, someone
from tests.programs import PATIENCE_SECONDS


class Bell(PostgresWakeup):
    """Notes what is rung for, and has no hint sent within a statement."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.notified: list[set[str]] = []

    def notify(
        self,
        *,
        queues: Collection[str] = (),
        owners: Collection[IncarnationId] = (),
        later: bool = False,
        more_work: bool = False,
    ) -> None:
        assert not owners
        if queues:
            self.notified.append(set(queues))

    def within(self, *, queues: Collection[str], later: bool = False) -> Any:
        return super().within(queues=())


@define
class OneAvailable:
    """One worker that is always available."""

    owner: IncarnationId
    asked: list[tuple[str, str]] = field(factory=list)

    async def take(self, *, queue: str, job_type: str) -> AvailableWorker | None:
        self.asked.append((queue, job_type))
        return AvailableWorker(owner=self.owner)


@define
class Desk:
    """Where jobs are handed in while a worker offers to start them."""

    database: Database
    stores: Stores
    worker: Worker
    bell: Bell
    availability: OneAvailable
    now: float = 100.0

    @classmethod
    def at(cls, database: Database, worker: Worker) -> "Desk":
        return cls(
            database, postgres_stores(database), worker, Bell(database), OneAvailable(worker.incarnation)
        )

    def job_writer(self) -> PostgresJobWriter:
        """One that has just come to be: its next job may be matched."""
        return PostgresJobWriter(
            self.database, self.bell, self.availability, monotonic_seconds=lambda: self.now
        )

    async def add(self, new: NewJob | None = None) -> Submission:
        [submission] = await self.job_writer().add([new or a_new_job()])
        return submission

    async def match(self, new: NewJob | None = None) -> ClaimedJob:
        """A job that is leased to the worker from now on."""
        new = new or a_new_job()
        added = await PostgresJobStore(self.database).add_sync_matched(new, self.worker.incarnation)
        assert added is not None
        assert added.matched
        return next(job for job in await self.held() if job.job_id == new.job_id)

    async def held(self) -> list[ClaimedJob]:
        return await self.stores.job_queue.claims(self.worker.incarnation)

    async def job(self, job_id: JobId) -> Job:
        return await self.stores.job(job_id)

    async def place(self, job_id: JobId) -> str:
        """The one table that says where a job stands that can be claimed or is held."""
        async with await psycopg.AsyncConnection.connect(self.url) as connection:
            cursor = await connection.execute(
                "select 'job_ready' from job_ready where job_id = %(id)s"
                " union all select 'job_leases' from job_leases where job_id = %(id)s",
                {"id": job_id},
            )
            [(place,)] = await cursor.fetchall()
        return str(place)

    @property
    def url(self) -> str:
        return self.database._url


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    stores = postgres_stores(database)
    await stores.queues.resume("default")  # it is known
    desk = Desk.at(database, await stores.worker())
    async with held_listener_lock(desk.url, desk.worker.incarnation):
        yield desk


async def assert_matched(desk: Desk, submission: Submission) -> None:
    assert submission.created
    job = await desk.job(submission.job_id)
    assert (job.status, job.worker_id, job.attempt) == (JobState.SCHEDULED, "w1", 0)
    assert job.lease is not None
    assert job.lease.owner == desk.worker.incarnation
    assert await desk.place(submission.job_id) == "job_leases"
    assert desk.bell.notified == [], "its holder was told, and nobody else needs to know"


async def assert_left_for_anybody(desk: Desk, submission: Submission) -> None:
    assert submission.created
    assert (await desk.job(submission.job_id)).status is JobState.PENDING
    assert await desk.place(submission.job_id) == "job_ready"
    assert desk.bell.notified == [{submission.new.request.queue}]


async def test_a_job_is_leased_as_it_is_stored(desk: Desk) -> None:
    submission = await desk.add()
    await assert_matched(desk, submission)
    job = await desk.job(submission.job_id)
    assert job.lease is not None
    assert (job.started_at, job.lease.started_at, job.lease.token) == (None, None, 1)
    assert job.created_at == job.scheduled_at == job.claimed_at == submission.created_at
    assert desk.availability.asked == [("default", "work")]
    assert await desk.stores.claim(await desk.stores.worker()) == []


async def test_what_was_matched_is_stored_as_it_would_be_without(desk: Desk) -> None:
    request = a_request(
        payload=JsonText('{"a":"\\u0000 é"}'), priority=7, retry=RetryPolicy(max_retries=9), idempotency_key="k",
        timeout=timedelta(microseconds=1),
    )  # fmt: skip
    matched = await desk.job((await desk.add(a_new_job(request))).job_id)
    plain = await desk.stores.submit_one(attrs.evolve(request, idempotency_key="l"))
    of_the_lease = {
        name: getattr(plain, name) for name in ("status", "lease", "lease_token", "worker_id", "claimed_at")
    }
    own = {name: getattr(plain, name) for name in ("job_id", "request", "created_at", "scheduled_at")}
    assert attrs.evolve(matched, **of_the_lease, **own) == plain
    assert attrs.evolve(matched.request, idempotency_key="l") == plain.request


@pytest.mark.parametrize("status", [WorkerState.DRAINING, WorkerState.STALE, WorkerState.STOPPED])
async def test_a_worker_that_may_not_claim_gets_none(desk: Desk, status: WorkerState) -> None:
    await desk.stores.workers.set_status([desk.worker.incarnation], status)
    await assert_left_for_anybody(desk, await desk.add())
    assert len(await desk.stores.claim(await desk.stores.worker())) == 1


async def test_nobody_gets_any_by_an_offer_of_one_who_is_not_known(desk: Desk) -> None:
    desk.availability.owner = an_incarnation()
    await assert_left_for_anybody(desk, await desk.add())


@pytest.mark.parametrize(
    ("identity", "matched"),
    [
        ({"types": ("other", "work")}, True),
        ({"types": ("other",)}, False),
        ({"types": ("work,", ",work", "wor")}, False),
        ({"types": ()}, False),
        ({"types": ("work",), "queues": ("mail", "default")}, True),
        ({"types": ("work",), "queues": ("mail",)}, False),
    ],
    ids=str,
)
async def test_whatever_it_offers_a_worker_gets_what_it_claims_and_nothing_else(
    desk: Desk, identity: dict[str, Any], matched: bool
) -> None:
    desk.worker = await desk.stores.worker(**identity)
    desk.availability.owner = desk.worker.incarnation
    async with held_listener_lock(desk.url, desk.worker.incarnation):
        submission = await desk.add()
    await (assert_matched if matched else assert_left_for_anybody)(desk, submission)


async def test_a_worker_that_does_not_listen_gets_nothing(desk: Desk) -> None:
    desk.worker = await desk.stores.worker()
    desk.availability.owner = desk.worker.incarnation
    await assert_left_for_anybody(desk, await desk.add())


async def test_none_is_leased_from_a_queue_that_is_paused(desk: Desk) -> None:
    await desk.stores.queues.pause("default")
    await assert_left_for_anybody(desk, await desk.add())
    await desk.stores.queues.resume("default")
    assert len(await desk.stores.claim(desk.worker)) == 1


GOES_BEFORE = {
    "of the same priority": ({}, 5),
    "of a higher priority": ({"priority": 6}, 5),
    "of the highest priority": ({"priority": 10}, 0),
    "beside one of the highest priority": ({"priority": 10}, 10),
}


@pytest.mark.parametrize(("waiting", "priority"), GOES_BEFORE.values(), ids=GOES_BEFORE)
async def test_none_passes_one_that_goes_before(desk: Desk, waiting: dict[str, Any], priority: int) -> None:
    before = await desk.stores.submit_one(a_request(**waiting))
    submission = await desk.add(a_new_job(a_request(priority=priority)))
    await assert_left_for_anybody(desk, submission)
    claimed = await desk.stores.claim(desk.worker)
    assert [job.job_id for job in claimed] == [before.job_id, submission.job_id]


DOES_NOT = {
    "of a lower priority": {"priority": 4},
    "of another type": {"type": "other", "priority": 10},
    "of another queue": {"queue": "mail", "priority": 10},
    "of a type that begins alike": {"type": "workers"},
}


@pytest.mark.parametrize("waiting", DOES_NOT.values(), ids=DOES_NOT)
async def test_others_that_wait_are_no_reason(desk: Desk, waiting: dict[str, Any]) -> None:
    await desk.stores.submit_one(a_request(**waiting))
    await assert_matched(desk, await desk.add())


@pytest.mark.parametrize("priority", [5, 10])
async def test_those_for_later_are_none_until_they_are_due(desk: Desk, priority: int) -> None:
    later = await desk.stores.now() + HOUR
    _, one, _ = await desk.stores.submit(*[a_request(priority=priority, scheduled_at=later)] * 3)
    await assert_matched(desk, await desk.add())
    async with await psycopg.AsyncConnection.connect(desk.url) as connection:
        await connection.execute("update job_ready set scheduled_at = now() where job_id = %s", [one.job_id])
    await assert_left_for_anybody(desk, await desk.add())


@pytest.mark.parametrize(
    ("outcome", "waits"),
    [
        (Succeeded(), False),
        (Failed(kind="Oops", message="", retry_after=HOUR), False),
        (Failed(kind="Oops", message="", retry_after=timedelta(0)), True),
        (Snoozed(delay=timedelta(0)), True),
    ],
    ids=["ended", "retrying later", "retrying", "snoozed"],
)
async def test_what_has_gone_back_is_among_those_that_wait(desk: Desk, outcome: Outcome, waits: bool) -> None:
    await desk.stores.submit_one()
    [claimed] = await desk.stores.claim(desk.worker)
    await assert_matched(desk, await desk.add())  # while that one runs
    assert await desk.stores.complete(claimed, outcome)
    submission = await desk.add()
    assert await desk.place(submission.job_id) == ("job_ready" if waits else "job_leases")


@pytest.mark.parametrize(("priority", "same"), [(5, True), (6, False)])
async def test_a_taken_key_finds_its_job(desk: Desk, priority: int, same: bool) -> None:
    owner = await desk.stores.submit_one(a_request(idempotency_key="taken"))
    await desk.stores.claim(desk.worker)
    rival = a_new_job(a_request(idempotency_key="taken", priority=priority))
    assert await PostgresJobStore(desk.database).add_sync_matched(rival, desk.worker.incarnation) is None
    answer = await desk.add(rival)
    assert (answer.created, answer.same_request, answer.job_id) == (False, same, owner.job_id)
    assert await count_rows(desk.url, "jobs") == await count_rows(desk.url, "job_leases") == 1
    assert await count_rows(desk.url, "job_ready") == 0
    assert desk.bell.notified == []


async def test_the_key_of_a_matched_job_is_taken_as_any(desk: Desk) -> None:
    new = a_new_job(a_request(idempotency_key="taken"))
    await assert_matched(desk, await desk.add(new))
    answer = await desk.add(a_new_job(a_request(idempotency_key="taken")))
    assert (answer.created, answer.same_request, answer.job_id) == (False, True, new.job_id)
    assert answer.job.status is JobState.SCHEDULED
    assert await count_rows(desk.url, "jobs") == 1


@pytest.mark.parametrize("commits", [True, False])
async def test_a_key_that_an_open_transaction_has_is_waited_for(desk: Desk, commits: bool) -> None:
    async with someone(desk.url) as other:
        async with desk.stores.units.join(other) as unit:
            [first] = await unit.jobs.add([a_new_job(a_request(idempotency_key="held"))])
        adding = asyncio.create_task(desk.add(a_new_job(a_request(idempotency_key="held"))))
        await somebody_waits(desk.url)
        await (other.commit if commits else other.rollback)()
        submission = await adding
    if commits:
        assert (submission.created, submission.job_id) == (False, first.job_id)
        assert await count_rows(desk.url, "job_leases") == 0
        assert desk.bell.notified == []
    else:
        await assert_matched(desk, submission)
        assert await count_rows(desk.url, "job_ready") == 0
    assert await count_rows(desk.url, "jobs") == 1


async def test_a_worker_that_stopped_while_a_key_was_waited_for_gets_none(desk: Desk) -> None:
    async with someone(desk.url) as other:
        async with desk.stores.units.join(other) as unit:
            await unit.jobs.add([a_new_job(a_request(idempotency_key="held"))])
        adding = asyncio.create_task(desk.add(a_new_job(a_request(idempotency_key="held"))))
        await somebody_waits(desk.url)
        await desk.stores.workers.set_status([desk.worker.incarnation], WorkerState.STOPPED)
        await other.rollback()
        await assert_left_for_anybody(desk, await adding)


async def test_a_worker_that_was_heard_meanwhile_gets_it(desk: Desk) -> None:
    async with someone(desk.url) as other:
        async with desk.stores.units.join(other) as unit:
            await unit.jobs.add([a_new_job(a_request(idempotency_key="held"))])
        adding = asyncio.create_task(desk.add(a_new_job(a_request(idempotency_key="held"))))
        await somebody_waits(desk.url)
        await desk.stores.workers.beat(desk.worker.incarnation, cpu_percent=1.0, memory_percent=None)
        await other.rollback()
        await assert_matched(desk, await adding)


async def test_a_worker_that_stops_knows_what_it_was_leased_until_then(desk: Desk) -> None:
    owner = desk.worker.incarnation
    async with desk.database.transaction() as session:
        added = await PostgresJobStore(session).add_sync_matched(new := a_new_job(), owner)
        assert added is not None
        assert added.matched
        stopping = asyncio.create_task(desk.stores.workers.set_status([owner], WorkerState.STOPPED))
        await somebody_waits(desk.url)
        assert not stopping.done()
    await stopping
    assert [job.job_id for job in await desk.held()] == [new.job_id]
    await assert_left_for_anybody(desk, await desk.add())


async def test_nobody_waits_for_a_worker_whose_row_is_being_written(desk: Desk) -> None:
    async with someone(desk.url) as other:
        await other.execute("update workers set last_heartbeat = now()")
        await assert_left_for_anybody(desk, await desk.add())
    desk.bell.notified.clear()
    # It goes before all others now.
    await desk.stores.claim(await desk.stores.worker())
    await assert_matched(desk, await desk.add())


async def test_jobs_for_one_worker_do_not_wait_for_each_other(desk: Desk) -> None:
    async with desk.database.transaction() as session:
        assert await PostgresJobStore(session).add_sync_matched(a_new_job(), desk.worker.incarnation)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await assert_matched(desk, await desk.add())


async def test_a_queue_that_is_new_is_made_the_ordinary_way(desk: Desk) -> None:
    new = a_new_job(a_request(queue="fresh"))
    assert await PostgresJobStore(desk.database).add_sync_matched(new, desk.worker.incarnation) is None
    assert await count_rows(desk.url, "jobs") == 0
    submission = await desk.add(new)
    await assert_left_for_anybody(desk, submission)
    desk.bell.notified.clear()
    await desk.stores.claim(desk.worker)
    await assert_matched(desk, await desk.add(a_new_job(a_request(queue="fresh"))))


async def test_jobs_that_say_when_they_are_due_go_the_ordinary_way(desk: Desk) -> None:
    now = await desk.stores.now()
    for at in (now + HOUR, now - HOUR):
        submission = await desk.add(a_new_job(a_request(scheduled_at=at)))
        assert await desk.place(submission.job_id) == "job_ready"
    assert desk.availability.asked == []


async def test_jobs_of_workflows_go_the_ordinary_way(desk: Desk) -> None:
    workflow_id = await desk.stores.workflow()
    submission = await desk.add(a_new_job(a_request(workflow_id=workflow_id, key="first")))
    assert await desk.place(submission.job_id) == "job_ready"
    assert desk.availability.asked == []


async def test_several_jobs_at_once_go_the_ordinary_way(desk: Desk) -> None:
    answers = await desk.job_writer().add([a_new_job(), a_new_job()])
    assert {await desk.place(answer.job_id) for answer in answers} == {"job_ready"}
    assert desk.availability.asked == []
    assert desk.bell.notified == [{"default"}]


async def test_without_an_offer_jobs_go_the_ordinary_way(desk: Desk) -> None:
    [submission] = await PostgresJobWriter(desk.database, desk.bell).add([a_new_job()])
    await assert_left_for_anybody(desk, submission)


async def test_behind_a_pooler_it_goes_the_same_way(desk: Desk) -> None:
    async with Database(desk.url, pooled=True) as pooled:
        behind = Desk.at(pooled, desk.worker)
        await assert_matched(behind, await behind.add())
        await desk.stores.submit_one()
        await assert_left_for_anybody(behind, await behind.add())


async def test_between_two_that_are_matched_others_go_for_as_long_as_the_statement_is_worth(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_writer_module, "_LOOK_SECONDS_MAX", inf)
    ticks = count(1)
    job_writer = PostgresJobWriter(
        desk.database, desk.bell, desk.availability, monotonic_seconds=lambda: float(next(ticks))
    )
    places = []
    for _ in range(9):
        [submission] = await job_writer.add([a_new_job()])
        places.append(await desk.place(submission.job_id))
        await desk.stores.claim(desk.worker)
    # It looks at the clock when it begins and when it has ended; then each time that it asks whether it may again.
    assert places == ["job_leases", *["job_ready"] * 3] * 2 + ["job_leases"]
    assert len(desk.availability.asked) == 3, "nobody asks for what he would not use"


async def test_a_look_over_much_that_is_gone_is_rare(desk: Desk) -> None:
    job_writer = desk.job_writer()
    async with someone(desk.url) as reader:
        await reader.execute("set transaction isolation level repeatable read")
        await reader.execute("select from jobs")
        async with await psycopg.AsyncConnection.connect(desk.url) as writer:
            await writer.execute(
                "insert into job_ready (job_id, queue, priority, type, scheduled_at)"
                " select gen_random_uuid(), 'default', 5, 'work', now() from generate_series(1, 100000)"
            )
            await writer.execute("delete from job_ready")
        [first] = await job_writer.add([a_new_job()])
        await assert_matched(desk, first)
        desk.now += 0.5
        [second] = await job_writer.add([a_new_job()])
        await assert_left_for_anybody(desk, second)
        assert len(desk.availability.asked) == 1
    assert await desk.stores.claim(desk.worker)
    desk.bell.notified.clear()
    desk.now += 60 * job_writer_module._LOOK_REST
    [third] = await job_writer.add([a_new_job()])
    await assert_matched(desk, third)


async def test_its_lease_ends_it_and_no_other(desk: Desk) -> None:
    job = await desk.match()
    started = attrs.evolve(job, started_at=job.claimed_at)
    other = attrs.evolve(started, lease_id=a_lease_id(), lease_token=LeaseToken(2))
    assert not await desk.stores.complete(other, Succeeded())
    assert (await desk.job(job.job_id)).status is JobState.SCHEDULED
    assert await desk.stores.complete(started, Succeeded(result=JsonText("1")))
    ended = await desk.job(job.job_id)
    assert (ended.status, ended.attempt, ended.lease_token, ended.result) == (JobState.SUCCESS, 1, 1, "1")
    assert not await desk.stores.complete(started, Succeeded())
    assert await count_rows(desk.url, "job_leases") == 0


async def test_its_start_is_recorded_as_that_of_any(desk: Desk) -> None:
    job = await desk.match()
    start = Start(job_id=job.job_id, lease_id=job.lease_id, started_at=job.claimed_at)
    assert (await desk.stores.sync(starts=[start])).accepted == {job.lease_id}
    running = await desk.job(job.job_id)
    assert (running.status, running.attempt, running.started_at) == (JobState.RUNNING, 1, job.claimed_at)


@pytest.mark.parametrize(
    ("outcome", "status", "attempt"),
    [
        (Failed(kind="Oops", message="it failed"), JobState.RETRYING, 1),
        (TimedOut(timeout=HOUR), JobState.RETRYING, 1),
        (Released(reason="draining"), JobState.PENDING, 0),
    ],
    ids=["failed", "timed out", "released"],
)
async def test_what_it_yields_counts_as_of_any(
    desk: Desk, outcome: Outcome, status: JobState, attempt: int
) -> None:
    job = await desk.match()
    assert await desk.stores.complete(attrs.evolve(job, started_at=job.claimed_at), outcome)
    after = await desk.job(job.job_id)
    assert (after.status, after.attempt, after.lease) == (status, attempt, None)
    assert await desk.place(job.job_id) == "job_ready"


async def test_one_that_was_canceled_before_it_was_heard_is_fenced(desk: Desk) -> None:
    job = await desk.match()
    await desk.stores.cancel(job.job_id)
    assert await desk.held() == []
    assert not await desk.stores.complete(attrs.evolve(job, started_at=job.claimed_at), Succeeded())
    assert (await desk.job(job.job_id)).status is JobState.CANCELED
    await desk.stores.requeue(job.job_id)
    [again] = await desk.stores.claim(desk.worker)
    assert (again.job_id, again.lease_token, again.attempt) == (job.job_id, 2, 0)


async def test_of_a_cancel_and_its_completion_exactly_one_wins(desk: Desk) -> None:
    for _ in range(20):
        job = attrs.evolve(heard := await desk.match(), started_at=heard.claimed_at)
        canceled, accepted = await asyncio.gather(
            desk.stores.cancel(job.job_id), desk.stores.complete(job, Succeeded()), return_exceptions=True
        )
        status = (await desk.job(job.job_id)).status
        if accepted:
            assert isinstance(canceled, IllegalMove)
            assert status is JobState.SUCCESS
        else:
            assert not isinstance(canceled, BaseException)
            assert status is JobState.CANCELED
        assert await count_rows(desk.url, "job_leases") == await count_rows(desk.url, "job_ready") == 0


@pytest.mark.parametrize("status", [WorkerState.STALE, WorkerState.STOPPED])
async def test_one_that_is_lost_before_it_was_heard_waits_again_and_has_lost_no_attempt(
    desk: Desk, status: WorkerState
) -> None:
    job = await desk.match()
    assert await desk.stores.workers.lost_jobs(10) == []
    await desk.stores.workers.set_status([desk.worker.incarnation], status)
    [lost] = await desk.stores.workers.lost_jobs(10)
    assert lost == job
    assert await desk.stores.complete(lost, WorkerLost(message="gone"))
    after = await desk.job(job.job_id)
    assert (after.status, after.attempt, after.retry_count, after.worker_deaths) == (
        JobState.PENDING,
        0,
        0,
        0,
    )
    assert not await desk.stores.complete(attrs.evolve(job, started_at=job.claimed_at), Succeeded())
    [again] = await desk.stores.claim(await desk.stores.worker())
    assert (again.job_id, again.lease_token, again.attempt) == (job.job_id, 2, 0)


async def test_it_is_counted_among_those_that_are_scheduled(desk: Desk) -> None:
    job = await desk.match()
    assert (await desk.stores.queues.stats()).by_queue["default"].by_status == {JobState.SCHEDULED: 1}
    assert await desk.stores.complete(attrs.evolve(job, started_at=job.claimed_at), Succeeded())
    assert (await desk.stores.queues.stats()).by_queue["default"].by_status == {JobState.SUCCESS: 1}


async def test_neither_a_pause_nor_a_purge_touches_it(desk: Desk) -> None:
    job = await desk.match()
    await desk.stores.queues.pause("default")
    purge = PurgeQueue(
        units=desk.stores.units,
        reader=desk.stores.job_reader,
        events=desk.stores.events,
        metrics=LocalCounters(),
    )
    assert await purge("default") == 0
    assert await desk.held() == [job]
    assert await desk.stores.complete(attrs.evolve(job, started_at=job.claimed_at), Succeeded())


@pytest.fixture
async def rival(migrated_url: str) -> AsyncIterator[Stores]:
    """The same store from another process, as good as."""
    async with Database(migrated_url, pool_size=8) as database:
        yield postgres_stores(database)


async def test_who_submits_under_the_key_of_one_that_is_being_matched_finds_it(
    desk: Desk, rival: Stores
) -> None:
    key = a_request(idempotency_key="one")
    async with desk.database.transaction() as session:
        assert await PostgresJobStore(session).add_sync_matched(
            new := a_new_job(key), desk.worker.incarnation
        )
        adding = asyncio.create_task(rival.job_writer.add([a_new_job(key)]))
        await somebody_waits(desk.url)
    [answer] = await adding
    assert (answer.created, answer.job_id) == (False, new.job_id)
    assert await desk.place(new.job_id) == "job_leases"


async def test_of_two_with_one_key_one_is_stored_and_stands_in_one_place(desk: Desk, rival: Stores) -> None:
    for n in range(30):
        key = a_request(idempotency_key=f"k{n}")
        both = [desk.job_writer().add([a_new_job(key)]), rival.job_writer.add([a_new_job(key)])]
        if n % 2:
            both.reverse()
        [one], [other] = await asyncio.gather(*both)
        assert one.created is not other.created
        assert one.job_id == other.job_id
        assert await desk.place(one.job_id) in {"job_ready", "job_leases"}
        await desk.stores.claim(desk.worker)  # what is left for anybody goes before the next
    assert await count_rows(desk.url, "jobs") == 30
    assert desk.availability.asked


@pytest.mark.parametrize("seed", range(3))
async def test_beside_claims_each_job_is_held_once(desk: Desk, rival: Stores, seed: int) -> None:
    chance = Random(seed)
    claimed: list[JobId] = []
    others = [await rival.worker(), await rival.worker()]

    async def submit() -> list[Submission]:
        stored: list[Submission] = []
        for n in range(60):
            while n % 5 == 0 and await count_rows(desk.url, "job_ready"):
                await asyncio.sleep(0)  # else there may always be one that goes before
            job_writer = desk.job_writer() if chance.random() < 0.7 else rival.job_writer
            stored += await job_writer.add([a_new_job(a_request(priority=chance.randint(4, 6)))])
        return stored

    async def claim(worker: Worker) -> None:
        while not submitting.done():
            claimed.extend(job.job_id for job in await rival.claim(worker, limit=chance.randint(1, 3)))

    submitting = asyncio.create_task(submit())
    await asyncio.gather(submitting, *map(claim, others))
    while jobs := await rival.claim(others[0]):
        claimed += [job.job_id for job in jobs]
    matched = [job.job_id for job in await desk.held()]
    assert matched
    assert claimed
    assert sorted(claimed + matched) == sorted(one.job_id for one in submitting.result())
    assert await count_rows(desk.url, "job_leases") == len(claimed) + len(matched)
    assert await count_rows(desk.url, "job_ready") == 0
