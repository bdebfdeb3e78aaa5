"""The claim among few decides as the claim among any number does, or leaves it to that."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL, Identifier

from schedora.adapters.postgres import job_queue as subject
from schedora.adapters.postgres import rows
from schedora.adapters.postgres.claim_cursor import BEGINNING, ClaimCursor
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.job_queue import PostgresJobQueue
from schedora.adapters.postgres.session import AsyncpgConnection, Row, TransactionSession
from schedora.adapters.postgres.statements import load
from schedora.adapters.postgres.tables import metadata
from schedora.application.ports.job_queue import ClaimRequest, SyncBatch
from schedora.domain.ids import WorkerId
from schedora.domain.worker import Worker
from tests.builders import HOUR, a_new_job, a_request
from tests.contract.postgres import postgres_stores
from tests.contract.stores import Stores

LANES_MAX, DUE_MAX = 16, 32
TABLES = SQL(", ").join(Identifier(table.name) for table in metadata.sorted_tables)

jobs = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from(["work", "letter"]),
    st.integers(4, 6),
    st.sampled_from([-2, -1, 1, 2]),
)
"""Queue, type, priority, and in how many hours it is due."""
wishes = st.fixed_dictionaries(
    {
        "queues": st.sampled_from([(), ("a",), ("b", "c"), ("nowhere",)]),
        "types": st.sampled_from([("work",), ("work", "letter"), ("nothing",)]),
        "limit": st.integers(1, 40),
        "start_count": st.integers(0, 10),
    }
)


def a_wish(worker: Worker, **fields: Any) -> ClaimRequest:
    return ClaimRequest(
        **{
            "owner": worker.incarnation, "worker_id": WorkerId("w1"), "queues": (), "types": ("work",), "limit": 10,
            "start_count": 10, **fields,
        }
    )  # fmt: skip


async def taken_back(connection: AsyncpgConnection, name: str, **values: Any) -> list[Row]:
    """What a statement answers, as if it had never been sent."""
    await connection.execute("begin")
    try:
        return list(await TransactionSession(connection, "the database").fetch(load(name), **values))
    finally:
        await connection.execute("rollback")


Told = tuple[Any, list[tuple[Any, bool]]]
"""When the next is due, and what is claimed, in its order, started or not."""


def told_by_few(answer: list[Row]) -> Told:
    claimed = [(row["job_id"], row["started_at"] is not None) for row in answer if row["job_id"] is not None]
    return answer[0]["next_due_at"], claimed


def told_by_any(answer: list[Row], worker: Worker) -> Told:
    claims = answer if answer[0]["job_ids"] is not None else []
    claimed = rows.claimed_jobs(claims, worker.incarnation, WorkerId("w1"))
    return answer[0]["next_due_at"], [(job.job_id, job.started_at is not None) for job in claimed]


class Bench:
    """A database whose jobs come and go, and a second session that may lock some."""

    def __init__(self, runner: asyncio.Runner, url: str) -> None:
        self.runner = runner
        self.url = url
        self.database = Database(url, pool_size=2, max_overflow=0)
        self.stores = postgres_stores(self.database)

    async def compare(self, coming: list[Any], locked: set[int], paused: list[str], **wish: Any) -> None:
        worker = await self.stores.worker()
        now = await self.stores.now()
        new = [
            a_new_job(
                a_request(queue=queue, type=job_type, priority=priority, scheduled_at=now + hours * HOUR)
            )
            for queue, job_type, priority, hours in coming
        ]
        await self.stores.add(*new)
        for queue in paused:
            await self.stores.queues.pause(queue)
        asked, other = await self.database.connect(), await self.database.connect()
        try:
            await other.execute("begin")
            await other.fetch(
                "select from job_ready where job_id = any($1) for update",
                [job.job_id for n, job in enumerate(new) if n in locked],
            )
            values = subject._of_claim(a_wish(worker, **wish))
            few = await taken_back(asked, "claim_few", **values)
            full = await taken_back(asked, "claim", **values, **BEGINNING.parameters)
        finally:
            await asked.close()
            await other.close()
        served = [
            (queue, job_type, priority, hours)
            for queue, job_type, priority, hours in coming
            if job_type in wish["types"]
            and (not wish["queues"] or queue in wish["queues"])
            and queue not in paused
        ]
        many = (
            len({lane[:3] for lane in coming}) > LANES_MAX or sum(hours < 0 for *_, hours in served) > DUE_MAX
        )
        assert few[0]["many"] == many
        due_at, claimed = told_by_few(few)
        if many:
            assert claimed == []
            return
        due = [
            (-job.request.priority, hours, job.job_id)
            for n, (job, (queue, job_type, _, hours)) in enumerate(zip(new, coming, strict=True))
            if n not in locked
            and hours < 0
            and job_type in wish["types"]
            and (not wish["queues"] or queue in wish["queues"])
            and queue not in paused
        ]
        free = [job_id for *_, job_id in sorted(due)]
        assert claimed == [
            (job_id, n < wish["start_count"]) for n, job_id in enumerate(free[: wish["limit"]])
        ]
        wanted_due_at, wanted = told_by_any(full, worker)
        if locked:
            # The claim among any number shares out before it locks: it may come back with fewer, and is asked again.
            assert {job_id for job_id, _ in wanted} <= set(free)
            assert wanted_due_at is not None or len(wanted) in {len(free), wish["limit"]}
            return
        assert claimed == wanted
        if len(wanted) == wish["limit"]:
            assert wanted_due_at is None, "nobody asks then"
        else:
            assert due_at == wanted_due_at


@pytest.fixture
def bench(migrated_url: str) -> Iterator[Bench]:
    with asyncio.Runner() as runner:
        bench = Bench(runner, migrated_url)
        runner.run(bench.database.__aenter__())
        yield bench
        runner.run(bench.database.__aexit__(None, None, None))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    coming=st.lists(jobs, max_size=45),
    locked=st.sets(st.integers(0, 44), max_size=4),
    paused=st.lists(st.sampled_from("abc"), max_size=1),
    wish=wishes,
)
@example(
    coming=[("a", "work", 4, -2), ("b", "work", 4, -2)],
    locked={0},
    paused=[],
    wish={"queues": (), "types": ("work",), "limit": 1, "start_count": 0},
)
def test_it_decides_alike(
    bench: Bench, coming: list[Any], locked: set[int], paused: list[str], wish: dict[str, Any]
) -> None:
    with psycopg.connect(bench.url, autocommit=True) as connection:
        connection.execute(SQL("TRUNCATE {}").format(TABLES))
    bench.runner.run(bench.compare(coming, locked, paused, **wish))


class Calm(ClaimCursor):
    """No claim is slow by chance."""

    def _is_slow(self, beyond_seconds: float) -> bool:
        return False


class Overheard:
    """A database that notes which statements it is sent."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.sent: list[str] = []

    async def fetch(self, statement: Any, /, **values: Any) -> Any:
        self.sent += [name for name in ("claim", "claim_few") if statement == load(name)]
        return await self._database.fetch(statement, **values)


class Situation:
    def __init__(self, database: Database, stores: Stores, worker: Worker) -> None:
        self.now = 100.0
        self.stores = stores
        self.worker = worker
        self.overheard = Overheard(database)
        self.queue = PostgresJobQueue(self.overheard, lambda: self.now)  # type: ignore[arg-type] # all it needs of one
        self.queue._cursor = Calm()

    async def claim(self, **wish: Any) -> tuple[int, list[str]]:
        """How many were claimed, and by which statements."""
        self.overheard.sent.clear()
        answer = await self.queue.sync(SyncBatch(claim=a_wish(self.worker, **wish)))
        return len(answer.claimed), list(self.overheard.sent)


@pytest.fixture
async def situation(database: Database) -> Situation:
    stores = postgres_stores(database)
    return Situation(database, stores, await stores.worker())


async def test_it_is_tried_once_little_is_left(situation: Situation) -> None:
    await situation.stores.submit(*[a_request()] * 12)
    assert await situation.claim(limit=10) == (10, ["claim"])
    assert await situation.claim(limit=10) == (2, ["claim"])
    await situation.stores.submit(*[a_request()] * 10)
    assert await situation.claim(limit=10) == (10, ["claim_few"])
    assert await situation.claim(limit=10) == (0, ["claim"])


async def test_where_there_is_more_nothing_is_lost_by_it(situation: Situation) -> None:
    assert await situation.claim() == (0, ["claim"])
    await situation.stores.submit(*[a_request()] * (DUE_MAX + 1))
    assert await situation.claim(limit=100) == (DUE_MAX + 1, ["claim_few", "claim"])
    await situation.stores.submit(a_request())
    assert await situation.claim() == (1, ["claim"]), "it is no use to try again at once"
    situation.now += subject._MANY_SECONDS
    await situation.stores.submit(a_request())
    assert await situation.claim() == (1, ["claim_few"])


async def test_where_many_lanes_hold_jobs_it_is_left_alone(situation: Situation) -> None:
    later = await situation.stores.now() + timedelta(days=1)
    await situation.stores.submit(
        *(a_request(queue=f"q{n}", scheduled_at=later) for n in range(LANES_MAX + 1))
    )
    assert await situation.claim() == (0, ["claim"])
    await situation.stores.submit(a_request(queue="q16"))
    assert await situation.claim() == (1, ["claim_few", "claim"])


async def test_nothing_is_claimed_for_a_worker_that_is_not_known(
    situation: Situation, migrated_url: str
) -> None:
    await situation.stores.submit(a_request())
    assert await situation.claim(types=("other",)) == (0, ["claim"])
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute("update workers set status = 'DRAINING'")
    assert await situation.claim() == (0, ["claim_few"])
