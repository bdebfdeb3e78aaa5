"""What jobs do to the store that hardly ever happens."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import psycopg
import pytest
from attrs import define, field

from schedora.adapters.postgres import jobs as jobs_module
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.job_queue import PostgresJobQueue
from schedora.adapters.postgres.jobs import PostgresJobStore, chunks
from schedora.adapters.postgres.session import Row, Session
from schedora.adapters.postgres.statements import Statement, load
from schedora.application.errors import LockConflict
from schedora.application.ports.job_queue import Start, SyncBatch
from schedora.application.ports.jobs import NewJob, Submission
from schedora.domain.ids import JsonText
from schedora.domain.job_request import JobRequest
from schedora.domain.outcome import Succeeded
from schedora.domain.retry import RetryKind, RetryPolicy
from tests.builders import a_new_job, a_request
from tests.contract.postgres import postgres_stores


@define
class Missing:
    """A session that does not see what some statements find, so many times: another moved it just then."""

    session: Session
    statements: tuple[Statement, ...]
    times: int

    async def fetch(self, statement: Statement, /, **values: Any) -> Sequence[Row]:
        found = await self.session.fetch(statement, **values)
        if statement in self.statements and self.times:
            self.times -= 1
            return []
        return found


@define
class Conflicting:
    """As good as a database on which the first statements get in others' way."""

    database: Database
    times: int

    async def fetch(self, statement: Statement, /, **values: Any) -> Sequence[Row]:
        if self.times:
            self.times -= 1
            raise LockConflict("transactions got in each other's way")
        return await self.database.fetch(statement, **values)


async def test_a_job_that_moved_while_it_was_waited_for_is_looked_for_again(database: Database) -> None:
    job = await postgres_stores(database).submit_one()
    async with database.transaction() as transaction:
        session = Missing(transaction, (jobs_module._LOCK_READY,), times=2)
        assert await PostgresJobStore(session).lock([job.job_id]) == [job]
    assert session.times == 0


async def test_a_job_that_never_stands_still_is_given_up(database: Database) -> None:
    job = await postgres_stores(database).submit_one()
    async with database.transaction() as transaction:
        session = Missing(transaction, (jobs_module._LOCK_READY,), times=1_000)
        with pytest.raises(LockConflict, match="jobs among 1 move faster than they can be locked"):
            await PostgresJobStore(session).lock([job.job_id])


async def test_a_key_whose_owner_went_just_then_is_tried_again(database: Database) -> None:
    store = postgres_stores(database)
    owner = await store.submit_one(a_request(idempotency_key="k"))
    session = Missing(database, (jobs_module._BY_KEY,), times=1)
    [submission] = await PostgresJobStore(session).add([a_new_job(a_request(idempotency_key="k"))])
    assert (submission.created, submission.job.job_id) == (False, owner.job_id)


async def test_a_key_whose_owners_come_and_go_is_given_up(database: Database) -> None:
    await postgres_stores(database).submit_one(a_request(idempotency_key="k"))
    session = Missing(database, (jobs_module._BY_KEY,), times=1_000)
    with pytest.raises(LockConflict, match="come and go"):
        await PostgresJobStore(session).add([a_new_job(a_request(idempotency_key="k"))])


@define
class Watched:
    """A session that remembers what was asked."""

    session: Session
    statements: list[Statement] = field(factory=list)

    async def fetch(self, statement: Statement, /, **values: Any) -> Sequence[Row]:
        self.statements.append(statement)
        return await self.session.fetch(statement, **values)


async def test_jobs_that_are_alike_go_the_short_way_once_their_queue_is_there(database: Database) -> None:
    watched = Watched(database)
    store = PostgresJobStore(watched)
    short, long = load("submit_alike"), load("submit")

    async def add(*requests: JobRequest) -> list[Submission]:
        watched.statements.clear()
        return await store.add([a_new_job(request) for request in requests])

    due = datetime(2030, 1, 31, 8, tzinfo=UTC)
    said: dict[str, Any] = {"queue": "q", "priority": 7, "scheduled_at": due, "timeout": timedelta(seconds=9)}
    said |= {"key": "k", "retry": RetryPolicy(kind=RetryKind.FIXED, max_retries=1, base=timedelta(seconds=2))}
    for ways in [[short, long], [short]]:
        submissions = await add(a_request(**said), a_request(**said, payload=JsonText('{"n":1}')))
        assert watched.statements == ways
        for one in submissions:
            assert one.created
            assert await postgres_stores(database).job(one.job_id) == one.job
    first = a_request(**said, idempotency_key="1")
    assert [one.created for one in await add(first, a_request(**said, idempotency_key="2"))] == [True, True]
    [again, other] = await add(first, a_request(**said))
    assert (again.created, again.same_request, other.created) == (False, True, True)
    assert watched.statements == [short, jobs_module._BY_KEY]
    [again] = await add(first)
    assert (again.created, again.same_request) == (False, True)
    await add(a_request(**said), a_request(**{**said, "priority": 8}))
    assert watched.statements == [long]


async def test_a_job_by_itself_goes_the_shortest_way_once_its_queue_is_there(database: Database) -> None:
    watched = Watched(database)
    store = PostgresJobStore(watched)
    shortest, long = load("submit_one"), load("submit")

    async def add(request: JobRequest, patience: timedelta | None = None) -> Submission:
        watched.statements.clear()
        [submission] = await store.add([a_new_job(request)], patience=patience)
        return submission

    due = datetime(2030, 1, 31, 8, tzinfo=UTC)
    said: dict[str, Any] = {"queue": "q", "priority": 7, "scheduled_at": due, "timeout": timedelta(seconds=9)}
    said |= {"key": "k", "retry": RetryPolicy(kind=RetryKind.FIXED, max_retries=1, base=timedelta(seconds=2))}
    for ways in [[shortest, long], [shortest]]:
        submission = await add(a_request(**said, payload=JsonText('{"n":1}')))
        assert watched.statements == ways
        assert submission.created
        assert await postgres_stores(database).job(submission.job_id) == submission.job
    unscheduled = await add(a_request(queue="q", idempotency_key="1"))
    assert watched.statements == [shortest]
    assert unscheduled.job.scheduled_at == unscheduled.created_at
    assert await postgres_stores(database).job(unscheduled.job_id) == unscheduled.job
    worker = await postgres_stores(database).worker()
    assert [claim.job_id for claim in await postgres_stores(database).claim(worker)] == [unscheduled.job_id]
    again = await add(a_request(queue="q", idempotency_key="1"))
    assert (again.created, again.same_request, again.job_id) == (False, True, unscheduled.job_id)
    assert watched.statements == [shortest, long, jobs_module._BY_KEY]
    await add(a_request(queue="q"), timedelta(seconds=1))
    assert watched.statements == [long]


@pytest.mark.parametrize(("times", "succeeds"), [(4, True), (5, False)])
async def test_a_batch_is_run_again_a_few_times(database: Database, times: int, succeeds: bool) -> None:
    stores = postgres_stores(database)
    await stores.submit_one()
    [claim] = await stores.claim(await stores.worker())
    batch = SyncBatch(completions=[await stores.settle(claim, Succeeded())])
    queue = PostgresJobQueue(Conflicting(database, times))  # type: ignore[arg-type] # it needs no more
    if succeeds:
        assert (await queue.sync(batch)).accepted == {claim.lease_id}
    else:
        with pytest.raises(LockConflict):
            await queue.sync(batch)


async def test_of_reports_on_one_run_the_newest_progress_counts(database: Database) -> None:
    stores = postgres_stores(database)
    job = await stores.submit_one()
    [claim] = await stores.claim(await stores.worker())
    progress: list[str | None] = ['{"n": 1}', '{"n": 2}', None]
    starts = [
        Start(
            job_id=claim.job_id,
            lease_id=claim.lease_id,
            started_at=claim.claimed_at,
            progress=None if one is None else JsonText(one),
        )
        for one in progress
    ]
    assert (await stores.sync(starts=starts)).accepted == {claim.lease_id}
    lease = (await stores.job(job.job_id)).lease
    assert lease is not None
    assert lease.progress == '{"n": 2}'


def test_what_one_statement_cannot_carry_goes_in_several() -> None:
    def sizes(jobs: list[NewJob]) -> list[int]:
        pieces = list(chunks(jobs, range(len(jobs))))
        assert list(chain.from_iterable(pieces)) == list(range(len(jobs)))
        return [len(piece) for piece in pieces]

    assert sizes([a_new_job() for _ in range(2_500)]) == [1_000, 1_000, 500]
    large = a_request(payload=JsonText('{"a": "' + "x" * 3_000_000 + '"}'))
    assert sizes([a_new_job(large) for _ in range(5)]) == [2, 2, 1]
    assert sizes([]) == []


async def test_a_record_that_others_spoilt_is_not_taken_for_a_job(
    database: Database, migrated_url: str
) -> None:
    stores = postgres_stores(database)
    job = await stores.submit_one()
    with psycopg.connect(migrated_url) as connection:
        connection.execute("update jobs set traceparent = 'spoilt'")
    with pytest.raises(ValueError, match="no valid traceparent: 'spoilt'"):
        await stores.job_reader.get(job.job_id)
