"""The hot statements over a large backlog, planned with statistics and without: always the same few look-ups."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

import attrs
import psycopg
import pytest

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.job_queue import PostgresJobQueue
from schedora.adapters.postgres.jobs import PostgresJobStore
from schedora.adapters.postgres.unit_of_work import PostgresUnitOfWorkFactory
from schedora.application.ports.job_queue import ClaimRequest, Start, SyncBatch
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import IncarnationId, JobId, WorkerId, WorkflowId
from schedora.domain.outcome import Failed, Succeeded
from tests.builders import a_new_job, a_request, settled
from tests.databases import copy_of
from tests.postgres.connections import held_listener_lock
from tests.postgres.explained import Explaining, named_indexes

TABLES = ("jobs", "job_ready", "job_leases", "job_dependencies", "job_counts", "queues", "workers")
DELAYED, READY, HELD, RELEASED = 200_000, 500, 20, 5
FEW = 60
"""What may be sorted: a batch, and never a backlog."""

BACKLOG = f"""
create function id(n int) returns uuid language sql immutable as
    $$ select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
create function make(first int, count int, due interval) returns void language sql as $$
    insert into jobs (
        job_id, type, queue, payload, idempotency_key, fingerprint, priority, scheduled_at, retry_kind, max_retries,
        retry_base_us, retry_max_us, timeout_us, created_at, traceparent
    )
    select
        id(n), 'type' || n % 3, 'queue' || n % 5, '{{}}', 'key ' || n, '', 4 + n % 2, now() + due, 'fixed', 3, 0, 0,
        60000000, now(), '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    from generate_series(first, first + count - 1) n
$$;

insert into queues (name) select 'queue' || n from generate_series(0, 99) n;
insert into workers (
    incarnation, worker_id, hostname, pid, version, max_concurrent_jobs, queues, types, status, registered_at,
    last_heartbeat
)
select id(n), 'w' || n, 'host', 1, '1', 10, '{{}}', '{{}}', 'ACTIVE', now(), now() from generate_series(1, 50) n;

select make(1, {READY + HELD + 2 * RELEASED}, interval '-1 hour');
insert into job_ready (job_id, queue, priority, type, scheduled_at)
select job_id, queue, priority, type, scheduled_at from jobs where job_id <= id({READY});
insert into job_leases (job_id, lease_id, token, owner, worker_id, claimed_at, started_at)
select job_id, job_id, 1, id(7), 'w7', now(), now()
from jobs where job_id > id({READY}) and job_id <= id({READY + HELD});
update jobs set waits_for = 1 where job_id > id({READY + HELD + RELEASED});
insert into job_dependencies (upstream_id, job_id)
select id({READY + HELD} + n), id({READY + HELD + RELEASED} + n) from generate_series(1, {RELEASED}) n;
-- Their records would only make the copies large: nothing here may come so far as to look for them.
insert into job_ready (job_id, queue, priority, type, scheduled_at)
select id(1000000 + n), 'queue' || n % 5, 10, 'type' || n % 3, now() + interval '100 years'
from generate_series(1, {DELAYED}) n;
"""
WITHOUT = "".join(f"alter table {table} set (autovacuum_enabled = off);" for table in TABLES)


def numbered(n: int) -> UUID:
    return UUID(f"00000000-0000-7000-8000-{n:012d}")


OWNER = IncarnationId(numbered(7))


@pytest.fixture(scope="module", params=["analyzed", "no statistics"])
def backlog_name(
    postgres_server_url: str, migrated_name: str, request: pytest.FixtureRequest
) -> Iterator[str]:
    with copy_of(postgres_server_url, migrated_name) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(WITHOUT.encode())
            connection.execute(BACKLOG.encode())
            if request.param == "analyzed":
                connection.execute("analyze")
        yield urlsplit(url).path.strip("/")


@pytest.fixture
async def backlog(postgres_server_url: str, backlog_name: str) -> AsyncIterator[Explaining]:
    with copy_of(postgres_server_url, backlog_name) as url:
        async with Database(url) as database:
            yield Explaining(url, database)


def job_queue(session: Explaining) -> PostgresJobQueue:
    return PostgresJobQueue(cast("Any", session))


def wish(**fields: Any) -> ClaimRequest:
    return ClaimRequest(
        **{
            "owner": OWNER, "worker_id": WorkerId("w7"), "queues": (), "types": ("type0", "type1", "type2"),
            "limit": 20, "start_count": 10, **fields,
        }
    )  # fmt: skip


async def held_jobs(session: Explaining) -> list[ClaimedJob]:
    claims = await job_queue(session).claims(OWNER)
    session.plans.clear()
    assert len(claims) == HELD
    return claims


def assert_looks_up(session: Explaining, indexes: set[str], *tables: str) -> None:
    """By these indexes alone, in no table from end to end, and sorting no more than a batch."""
    plan = session.plan
    assert plan.indexes(*tables) == indexes
    assert None not in plan.indexes("jobs", "job_ready", "job_leases", "job_dependencies")
    sorted_rows = [node["Actual Rows"] for node in plan.nodes if "Sort" in node["Node Type"]]
    assert all(rows <= FEW for rows in sorted_rows)


async def test_claim(backlog: Explaining) -> None:
    claimed = (await job_queue(backlog).sync(SyncBatch(claim=wish()))).claimed
    assert {job.priority for job in claimed} == {5}
    assert_looks_up(backlog, named_indexes("claim"), "job_ready")
    lanes = 5 * 3
    # The first of each lane, delayed or not; what shows how the batch is shared out among them; the batch.
    assert backlog.plan.rows("job_ready") <= 3 * lanes + 2 * (20 + lanes) + (20 + lanes) + 20
    assert backlog.plan.rows("jobs") == 20
    assert backlog.plan.pages < 1_000


async def test_claim_of_one_lane_reads_what_it_takes(backlog: Explaining) -> None:
    answer = await job_queue(backlog).sync(
        SyncBatch(claim=wish(queues=("queue0",), types=("type0",), limit=5))
    )
    assert len(answer.claimed) == 5
    assert_looks_up(backlog, named_indexes("claim"), "job_ready")
    assert backlog.plan.pages < 300


async def test_claim_that_finds_nothing(backlog: Explaining) -> None:
    answer = await job_queue(backlog).sync(SyncBatch(claim=wish(queues=("queue7",))))
    assert (answer.claimed, answer.next_due_at) == ((), None)
    assert_looks_up(backlog, named_indexes("claim"), "job_ready")
    assert backlog.plan.rows("job_ready") == 0


@pytest.mark.parametrize(
    "outcome",
    [Succeeded(), Failed(kind="Oops", message="again"), Failed(kind="Oops", message="", retryable=False)],
    ids=["success", "retry", "dead"],
)
async def test_complete(backlog: Explaining, outcome: Any) -> None:
    claims = await held_jobs(backlog)
    done = [settled(claim, outcome, ended_at=claim.claimed_at) for claim in claims]
    assert len((await job_queue(backlog).sync(SyncBatch(completions=done))).accepted) == HELD
    assert_looks_up(backlog, named_indexes("complete"), "jobs", "job_leases")
    assert backlog.plan.rows("jobs", "job_leases") == 2 * HELD


async def test_start(backlog: Explaining) -> None:
    claims = await held_jobs(backlog)
    starts = [Start(job_id=one.job_id, lease_id=one.lease_id, started_at=one.claimed_at) for one in claims]
    assert len((await job_queue(backlog).sync(SyncBatch(starts=starts))).accepted) == HELD
    assert_looks_up(backlog, named_indexes("start"), *TABLES)
    assert backlog.plan.rows(*TABLES) == HELD


async def test_sync(backlog: Explaining) -> None:
    claims = await held_jobs(backlog)
    done = [settled(claim, Succeeded(), ended_at=claim.claimed_at) for claim in claims[:10]]
    starts = [
        Start(job_id=one.job_id, lease_id=one.lease_id, started_at=one.claimed_at) for one in claims[10:]
    ]
    answer = await job_queue(backlog).sync(SyncBatch(completions=done, starts=starts, claim=wish()))
    assert (len(answer.accepted), len(answer.claimed)) == (HELD, 20)
    parts = named_indexes("complete") | named_indexes("start") | named_indexes("claim")
    assert_looks_up(backlog, parts, "jobs", "job_ready", "job_leases")
    assert backlog.plan.rows("jobs") == 10 + 20
    assert backlog.plan.rows("job_leases") == HELD


async def test_submit(backlog: Explaining) -> None:
    new = [a_new_job(a_request(queue=f"queue{n}", idempotency_key=f"new {n}")) for n in range(20)]
    assert all(one.created for one in await PostgresJobStore(backlog).add(new))
    assert None not in backlog.plan.indexes(*TABLES)
    assert backlog.plan.rows("jobs", "job_ready") == 0
    assert all(node["Actual Rows"] <= FEW for node in backlog.plan.nodes if "Sort" in node["Node Type"])


async def test_submit_alike(backlog: Explaining) -> None:
    new = [a_new_job(a_request(queue="queue1", idempotency_key=f"alike {n}")) for n in range(20)]
    assert all(one.created for one in await PostgresJobStore(backlog).add(new))
    assert len(backlog.plans) == 1
    assert None not in backlog.plan.indexes(*TABLES)
    assert backlog.plan.indexes("queues") == named_indexes("submit_alike") - named_indexes("submit")
    assert backlog.plan.rows("jobs", "job_ready") == 0
    assert all(node["Actual Rows"] <= FEW for node in backlog.plan.nodes if "Sort" in node["Node Type"])


async def test_submit_one(backlog: Explaining) -> None:
    new = a_new_job(a_request(queue="queue1", idempotency_key="one"))
    assert [one.created for one in await PostgresJobStore(backlog).add([new])] == [True]
    assert len(backlog.plans) == 1
    assert None not in backlog.plan.indexes(*TABLES)
    assert backlog.plan.indexes("queues") == named_indexes("submit_one") - named_indexes("submit")
    assert backlog.plan.rows("jobs", "job_ready") == 0


@pytest.mark.parametrize("waits", [True, False])
async def test_submit_sync_matched(backlog: Explaining, waits: bool) -> None:
    with psycopg.connect(backlog.url) as connection:
        connection.execute("update workers set types = '{type1}' where worker_id = 'w7'")
        if not waits:
            connection.execute(f"delete from job_ready where job_id <= id({READY})".encode())
    new = a_new_job(a_request(queue="queue1", type="type1", priority=3, idempotency_key="one"))
    async with held_listener_lock(backlog.url, OWNER):
        added = await PostgresJobStore(backlog).add_sync_matched(new, OWNER)
    assert added is not None
    assert added.matched is not waits
    assert_looks_up(backlog, named_indexes("submit_sync_matched") - named_indexes("submit"), *TABLES)
    # The first of each lane: of the next higher priorities, and the delayed ones of the highest.
    assert backlog.plan.rows("job_ready") <= 3
    assert backlog.plan.rows("jobs", "job_leases") == 0
    assert backlog.plan.rows("workers") <= 1
    # Where the others have just been deleted, it still walks over them.
    assert backlog.plan.pages < (150 if waits else 300)


async def test_release(backlog: Explaining) -> None:
    upstream = [JobId(numbered(READY + HELD + 1 + n)) for n in range(RELEASED)]
    assert await PostgresJobStore(backlog).release(upstream)
    assert_looks_up(backlog, named_indexes("release"), *TABLES)
    assert backlog.plan.rows(*TABLES) == 2 * RELEASED


FLOWS = f"""
insert into workflows (workflow_id, name, description, config, created_at, total_jobs)
select id(n), 'flow ' || n, '', '{{}}', now(), 100 from generate_series(1, 100) n;
update job_leases set workflow_id = id(1);
insert into job_dependencies (upstream_id, job_id)
select id({READY} + n), id({READY + HELD + RELEASED} + n) from generate_series(1, {RELEASED}) n;
"""
"""Held jobs of one workflow among many, for some of which others wait."""


async def test_advance(backlog: Explaining) -> None:
    with psycopg.connect(backlog.url) as connection:
        connection.execute(FLOWS.encode())
    claims = [attrs.evolve(claim, workflow_id=WorkflowId(numbered(1))) for claim in await held_jobs(backlog)]
    done = [settled(claim, Succeeded(), ended_at=claim.claimed_at) for claim in claims]
    advanced = await PostgresUnitOfWorkFactory(cast("Any", backlog)).advance(done)
    assert (len(advanced.accepted), len(advanced.queues)) == (HELD, RELEASED)
    assert_looks_up(backlog, named_indexes("advance"), *TABLES, "workflows")
    assert backlog.plan.rows("jobs") == HELD + RELEASED
    assert backlog.plan.rows("job_leases") == HELD
