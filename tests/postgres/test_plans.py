"""How statements find their rows among many: by the indexes that they name, and reading no more than they need."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
import pytest

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.explain_inputs_reader import PostgresExplainInputsReader
from schedora.adapters.postgres.job_queue import PostgresJobQueue, _of_claim
from schedora.adapters.postgres.job_reader import PostgresJobReader
from schedora.adapters.postgres.jobs import PostgresJobStore
from schedora.adapters.postgres.lineage_reader import PostgresLineageReader
from schedora.adapters.postgres.queues import PostgresQueues
from schedora.adapters.postgres.records import PostgresRecords
from schedora.adapters.postgres.request_spans import PostgresRequestSpans
from schedora.adapters.postgres.statements import load, written
from schedora.adapters.postgres.workers import PostgresWorkers
from schedora.adapters.postgres.workflow_reader import PostgresWorkflowReader
from schedora.adapters.postgres.workflows import PostgresWorkflowStore
from schedora.application.ports.job_queue import ClaimRequest, Start, SyncBatch
from schedora.application.ports.job_reader import JobFilter
from schedora.application.ports.records import Pruned
from schedora.application.ports.request_spans import Asked
from schedora.diagnosis.why.inputs import QueuePosition
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import IncarnationId, JobId, WorkerId, WorkflowId
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, Outcome, Succeeded
from schedora.domain.retention import Retention
from schedora.domain.workflow import WorkflowState
from tests.builders import a_new_job, a_request, settled
from tests.contract.postgres import postgres_stores
from tests.contract.test_request_spans import a_request_served
from tests.databases import copy_of
from tests.postgres.connections import held_listener_lock
from tests.postgres.explained import Explaining, named_indexes

FINISHED, DELAYED, OTHERS, READY, DEAD, BLOCKED, HELD = 20_000, 20_000, 2_000, 2_000, 300, 300, 2_000
CROWDED = ("jobs", "job_ready", "job_leases", "job_dependencies")

CROWD = """
create function id(n int) returns uuid language sql immutable as
    $$ select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$;

insert into queues (name) values ('default'), ('mail'), ('paused');
insert into workers (
    incarnation, worker_id, hostname, pid, version, max_concurrent_jobs, queues, types, status, registered_at,
    last_heartbeat
)
select id(n), 'w' || n, 'host', 1, '1', 10, '{}', '{work}', 'ACTIVE', now(), now() from generate_series(1, 100) n;
insert into workflows (workflow_id, name, description, config, created_at, total_jobs)
select id(n), 'flow ' || n, '', '{}', now(), 10 from generate_series(1, 1000) n;

create temp table crowd as
select n, kind, id(n) as job_id
from generate_series(1, %(all)s) n
cross join lateral (
    select case
        when n <= 20000 then 'finished'
        when n <= 40000 then 'delayed'
        when n <= 42000 then 'other'
        when n <= 44000 then 'ready'
        when n <= 44300 then 'dead'
        when n <= 44600 then 'blocked'
        else 'held'
    end as kind
) k;

insert into jobs (
    job_id, type, queue, payload, idempotency_key, fingerprint, priority, scheduled_at, retry_kind, max_retries,
    retry_base_us, retry_max_us, timeout_us, workflow_id, depends_on, waits_for, status, created_at, completed_at,
    dead_at, traceparent, errors
)
select
    job_id, case kind when 'other' then 'other' else 'work' end, 'default', '{}', 'key ' || n, '',
    case when kind in ('delayed', 'other') then 10 else 5 end,
    now() + case kind when 'delayed' then interval '100 years' else interval '-1 hour' end,
    'fixed', 3, 0, 0, 60000000,
    case when kind in ('blocked', 'held') then id(1 + n %% 500) end,
    case kind when 'blocked' then array[id(n + 300)] end,
    case kind when 'blocked' then 1 else 0 end,
    case kind when 'finished' then 'SUCCESS' when 'dead' then 'DEAD' else 'PENDING' end,
    now() - interval '1 hour' + n * interval '1 ms',
    case when kind in ('finished', 'dead') then now() end,
    case kind when 'dead' then now() end,
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    case kind when 'dead' then '[{"attempt": 1, "at": "2030-01-01T00:00:00+00:00", "worker_id": "w1",
        "kind": "Oops", "message": "", "traceback": null}]'::jsonb end
from crowd;
insert into job_ready (job_id, queue, priority, type, scheduled_at)
select j.job_id, j.queue, j.priority, j.type, j.scheduled_at
from crowd c join jobs j using (job_id)
where c.kind in ('delayed', 'other', 'ready');
insert into job_leases (job_id, lease_id, token, owner, worker_id, workflow_id, claimed_at, started_at)
select job_id, job_id, 1, id(1 + n %% 100), 'w' || 1 + n %% 100, id(1 + n %% 500), now(), now()
from crowd where kind = 'held';
insert into job_dependencies (upstream_id, job_id)
select id(n + 300), job_id from crowd where kind = 'blocked';
insert into trails (job_id, token, attempt, worker_id, lines, lines_dropped, spans, spans_dropped)
select job_id, 1, 1, 'w', '{}', 0, '', 0 from crowd;
analyze;
"""


def numbered(n: int) -> UUID:
    return UUID(f"00000000-0000-7000-8000-{n:012d}")


OWNER = IncarnationId(numbered(7))
FIRST_HELD = FINISHED + DELAYED + OTHERS + READY + DEAD + BLOCKED + 1
AHEAD = 1
"""Before 18, whoever numbers rows reads one further."""
AGES_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""Where the ids of the crowd are from."""


@pytest.fixture(scope="module")
def crowded_name(postgres_server_url: str, migrated_name: str) -> Iterator[str]:
    with copy_of(postgres_server_url, migrated_name) as url:
        with psycopg.connect(url, cursor_factory=psycopg.ClientCursor) as connection:
            connection.execute(CROWD.encode(), {"all": FIRST_HELD - 1 + HELD})
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("vacuum analyze")
        yield urlsplit(url).path.strip("/")


@pytest.fixture
def crowded_url(postgres_server_url: str, crowded_name: str) -> Iterator[str]:
    with copy_of(postgres_server_url, crowded_name) as url:
        yield url


@pytest.fixture
async def crowded(crowded_url: str) -> AsyncIterator[Explaining]:
    async with Database(crowded_url) as database:
        yield Explaining(crowded_url, database)


def reads(session: Explaining) -> Any:
    """A session in place of a database, for adapters that need no more of it."""
    return cast("Any", session)


def wish(**fields: Any) -> ClaimRequest:
    return ClaimRequest(
        **{
            "owner": OWNER, "worker_id": WorkerId("w7"), "queues": (), "types": ("work",), "limit": 10,
            "start_count": 10, **fields,
        }
    )  # fmt: skip


async def held_jobs(session: Explaining, owner: IncarnationId = OWNER) -> list[ClaimedJob]:
    return await PostgresJobQueue(reads(session)).claims(owner)


def starts_of(claims: list[ClaimedJob]) -> list[Start]:
    return [
        Start(job_id=claim.job_id, lease_id=claim.lease_id, started_at=claim.claimed_at) for claim in claims
    ]


async def test_a_claim_reads_what_it_takes(crowded: Explaining) -> None:
    claimed = (await PostgresJobQueue(reads(crowded)).sync(SyncBatch(claim=wish()))).claimed
    assert {job.priority for job in claimed} == {5}, "delayed ones and those of other types stand before it"
    plan = crowded.plan
    assert plan.indexes("job_ready") == named_indexes("claim")
    assert plan.indexes("jobs") == {"jobs_pkey"}
    # The first of each lane that holds any, and what it takes.
    assert plan.reads(3 + 10, "job_ready")
    assert plan.reads(10, "jobs")
    assert plan.pages < 200


async def test_a_claim_that_finds_little_walks_over_nothing_either(crowded: Explaining) -> None:
    answer = await PostgresJobQueue(reads(crowded)).sync(SyncBatch(claim=wish(queues=("mail",))))
    assert (answer.claimed, answer.next_due_at) == ((), None)
    plan = crowded.plan
    assert plan.indexes("job_ready") == named_indexes("claim")
    assert plan.reads(0, "job_ready")
    assert plan.pages < 40


async def test_a_claim_among_few_walks_over_nothing_either(crowded: Explaining) -> None:
    with psycopg.connect(crowded.url) as connection:
        connection.execute(
            "delete from job_ready r where r.scheduled_at < now() and r.type = 'work' and r.job_id not in ("
            "select o.job_id from job_ready o where o.scheduled_at < now() and o.type = 'work' limit 10)"
        )
    claimed = await crowded.fetch(load("claim_few"), **_of_claim(wish(limit=20)))
    assert (len(claimed), claimed[0]["many"]) == (10, False)
    plan = crowded.plan
    assert plan.indexes("job_ready") == named_indexes("claim_few")
    assert plan.indexes("jobs") == {"jobs_pkey"}
    # The first of each lane; of the two that hold jobs of this type once more the delayed one, and what it takes.
    assert plan.reads(3 + 1 + 10, "job_ready")
    assert plan.reads(10, "jobs")
    assert plan.pages < 200


async def test_a_claim_finds_when_the_next_is_due_without_going_through_those(crowded: Explaining) -> None:
    with psycopg.connect(crowded.url) as connection:
        connection.execute("delete from job_ready where priority = 5")
        connection.commit()
        connection.autocommit = True
        connection.execute("vacuum job_ready")
    answer = await PostgresJobQueue(reads(crowded)).sync(SyncBatch(claim=wish()))
    assert answer.claimed == ()
    assert answer.next_due_at is not None
    assert answer.next_due_at > answer.at + timedelta(days=1_000)
    assert crowded.plan.reads(2, "job_ready")
    assert crowded.plan.pages < 50


@pytest.mark.parametrize(
    "outcome",
    [Succeeded(), Failed(kind="Oops", message="", retryable=False)],
    ids=lambda one: type(one).__name__,
)
async def test_completions_find_their_rows_by_key(crowded: Explaining, outcome: Outcome) -> None:
    claims = await held_jobs(crowded)
    crowded.plans.clear()
    completions = [settled(claim, outcome, ended_at=claim.claimed_at) for claim in claims]
    answer = await PostgresJobQueue(reads(crowded)).sync(SyncBatch(completions=completions))
    assert len(answer.accepted) == len(claims) == HELD // 100
    plan = crowded.plan
    assert plan.indexes("jobs", "job_leases") == named_indexes("complete")
    assert plan.reads(2 * len(claims), "jobs", "job_leases")


async def test_each_lease_is_looked_up_though_there_was_none_when_that_was_planned(
    crowded: Explaining,
) -> None:
    """A quiet queue has no leases, and plans last: all ends would be compared with all leases from then on."""
    claims = await held_jobs(crowded)
    crowded.plans.clear()
    with psycopg.connect(crowded.url, autocommit=True) as connection:
        connection.execute("delete from job_leases")
        connection.execute("vacuum analyze job_leases")
    completions = [settled(claim, Succeeded(), ended_at=claim.claimed_at) for claim in claims]
    answer = await PostgresJobQueue(reads(crowded)).sync(SyncBatch(completions=completions))
    assert answer.accepted == frozenset()
    lookups = [node for node in crowded.plan.nodes if node.get("Index Name") == "job_leases_pkey"]
    assert lookups
    assert all("job_id" in lookup["Index Cond"] for lookup in lookups)


async def test_so_it_is_at_its_start(crowded: Explaining) -> None:
    claims = await held_jobs(crowded)
    crowded.plans.clear()
    with psycopg.connect(crowded.url, autocommit=True) as connection:
        connection.execute("delete from job_leases")
        connection.execute("vacuum analyze job_leases")
    await PostgresJobQueue(reads(crowded)).sync(SyncBatch(starts=starts_of(claims)))
    [lookup] = [node for node in crowded.plan.nodes if node.get("Index Name") == "job_leases_pkey"]
    assert "job_id" in lookup["Index Cond"]


async def test_starts_find_their_rows_by_key(crowded: Explaining) -> None:
    claims = await held_jobs(crowded)
    crowded.plans.clear()
    await PostgresJobQueue(reads(crowded)).sync(SyncBatch(starts=starts_of(claims)))
    assert crowded.plan.indexes(*CROWDED) == named_indexes("start")
    assert crowded.plan.reads(len(claims), *CROWDED)


async def test_a_batch_does_what_its_parts_do(crowded: Explaining) -> None:
    claims = await held_jobs(crowded)
    crowded.plans.clear()
    batch = SyncBatch(
        completions=[settled(claim, Succeeded(), ended_at=claim.claimed_at) for claim in claims[:5]],
        starts=starts_of(claims[5:8]),
        claim=wish(),
    )
    answer = await PostgresJobQueue(reads(crowded)).sync(batch)
    assert (len(answer.accepted), len(answer.claimed)) == (8, 10)
    plan = crowded.plan
    parts = named_indexes("complete") | named_indexes("start") | named_indexes("claim")
    assert plan.indexes("job_ready", "job_leases", "jobs") == parts
    assert plan.reads(3 + 10, "job_ready")
    assert plan.reads(5 + 3, "job_leases")
    assert plan.reads(5 + 10, "jobs")


async def test_what_one_holds_is_found_by_holder(crowded: Explaining) -> None:
    queue = PostgresJobQueue(reads(crowded))
    for name, find in (("held", queue.held), ("claims", queue.claims)):
        assert len(await find(OWNER)) == HELD // 100
        plan = crowded.plans.pop()
        assert plan.indexes(*CROWDED) == named_indexes(name)
        assert plan.reads(HELD // 100, "job_leases")


async def test_a_release_costs_what_it_releases(crowded: Explaining) -> None:
    upstream = [JobId(numbered(FIRST_HELD + n)) for n in range(5)]
    assert await PostgresJobStore(crowded).release(upstream) == {"default"}
    plan = crowded.plan
    assert plan.indexes(*CROWDED) == named_indexes("release")
    assert plan.reads(5 + 5, *CROWDED)


async def test_what_depends_on_a_job_is_found_by_edge(crowded: Explaining) -> None:
    await PostgresJobStore(crowded).downstream([JobId(numbered(FIRST_HELD))])
    assert crowded.plans[0].indexes(*CROWDED) == named_indexes("downstream")
    assert crowded.plans[0].rows(*CROWDED) == 1
    for plan in crowded.plans[1:]:
        assert plan.indexes(*CROWDED) <= {"job_ready_pkey", "job_leases_pkey", "jobs_pkey"}
        assert plan.rows(*CROWDED) <= 2


async def test_locking_saving_and_deleting_go_by_key(crowded: Explaining) -> None:
    store = PostgresJobStore(crowded)
    jobs = await store.lock([JobId(numbered(n)) for n in (FIRST_HELD, FINISHED + 1, FINISHED + DELAYED + 1)])
    await store.save(jobs)
    await store.delete([JobId(numbered(n)) for n in (1, 2)])
    for plan in crowded.plans:
        assert None not in plan.indexes(*CROWDED)
        assert plan.rows(*CROWDED) <= 2 * len(jobs)


async def test_submissions_look_for_their_keys_alone(crowded: Explaining) -> None:
    new = [a_new_job(a_request(idempotency_key=key)) for key in ("key 1", "key 2", "another")]
    assert [one.created for one in await PostgresJobStore(crowded).add(new)] == [False, False, True]
    submit, look_up = crowded.plans
    assert submit.rows(*CROWDED) == 0
    assert look_up.indexes("jobs") == named_indexes("submit")
    assert look_up.rows("jobs") == 2


MATCHED = ("queues", "workers", *CROWDED)


@pytest.fixture
async def heard(crowded: Explaining) -> AsyncIterator[None]:
    async with held_listener_lock(crowded.url, OWNER):
        yield


@pytest.mark.usefixtures("heard")
async def test_a_match_looks_at_the_first_of_each_lane_that_may_go_before(crowded: Explaining) -> None:
    store = PostgresJobStore(crowded)
    added = await store.add_sync_matched(a_new_job(a_request(idempotency_key="new")), OWNER)
    assert added is not None
    assert not added.matched, "there are some that are ready"
    with psycopg.connect(crowded.url) as connection:
        connection.execute("delete from job_ready where scheduled_at < now()")
    with psycopg.connect(crowded.url, autocommit=True) as connection:
        connection.execute("vacuum job_ready")
    added = await store.add_sync_matched(a_new_job(a_request(idempotency_key="newer")), OWNER)
    assert added is not None
    assert added.matched, "all others are delayed"
    waiting, none = crowded.plans
    for plan in (waiting, none):
        assert plan.indexes(*MATCHED) == named_indexes("submit_sync_matched") - named_indexes("submit")
        # Of priority 10 the first delayed one, and of priority 5 the first that is due, if there is any.
        assert plan.rows("job_ready") <= 2
        assert plan.rows("jobs", "job_leases") == 0
        assert plan.rows("workers") <= 1
        assert plan.pages < 120
        assert not plan.sorts


async def test_so_it_does_where_there_is_nothing_yet(migrated_url: str) -> None:
    async with Database(migrated_url) as database:
        stores = postgres_stores(database)
        await stores.queues.resume("default")
        worker = await stores.worker()
        empty = Explaining(migrated_url, database)
        async with held_listener_lock(migrated_url, worker.incarnation):
            added = await PostgresJobStore(empty).add_sync_matched(a_new_job(), worker.incarnation)
        assert added is not None
        assert added.matched
    assert empty.plan.indexes(*MATCHED) == named_indexes("submit_sync_matched") - named_indexes("submit")
    assert not empty.plan.sorts


async def test_where_it_finds_its_key_taken_it_looks_for_nothing_else(crowded: Explaining) -> None:
    for taken in (a_request(idempotency_key="key 1"), a_request(queue="new", idempotency_key="other")):
        assert await PostgresJobStore(crowded).add_sync_matched(a_new_job(taken), OWNER) is None
    for plan in crowded.plans:
        assert plan.rows("workers", "job_ready", "job_leases", "jobs") == 0


BY_STATE = {
    JobState.PENDING: {"job_ready_pkey", "jobs_blocked_idx"},
    JobState.RETRYING: {"job_ready_retrying_idx", "jobs_blocked_idx"},
    JobState.SCHEDULED: {"job_leases_pkey"},
    JobState.RUNNING: {"job_leases_pkey"},
    JobState.DEAD: {"jobs_dead_idx"},
}


@pytest.mark.parametrize("after", [None, JobId(numbered(FIRST_HELD + HELD - 100))], ids=["first", "next"])
@pytest.mark.parametrize(
    ("asked", "index"),
    [
        (JobFilter(), "jobs_pkey"),
        (JobFilter(queue="default"), "jobs_pkey"),
        (JobFilter(created_after=AGES_AGO), "jobs_pkey"),
        (JobFilter(states=frozenset(JobState)), "jobs_pkey"),
        (JobFilter(workflow_id=WorkflowId(numbered(3))), "jobs_workflow_idx"),
        (JobFilter(workflow_id=WorkflowId(numbered(3)), states=frozenset({JobState.SUCCESS})), "jobs_workflow_idx"),
    ],
    ids=["all", "queue", "created_after", "states", "workflow", "workflow and state"],
)  # fmt: skip
async def test_a_page_follows_a_key_and_ends_when_it_is_full(
    crowded: Explaining, asked: JobFilter, index: str, after: JobId | None
) -> None:
    page = await PostgresJobReader(reads(crowded)).page(asked, limit=10, after=after)
    plan = crowded.plan
    assert plan.indexes("jobs") == {index, "jobs_pkey"}
    # Each three times: on the walk, to be measured, and to be shown. A workflow has fewer than are asked for.
    assert plan.rows("jobs") <= 3 * 11 + AHEAD
    assert len(page.jobs) == (
        10 if index == "jobs_pkey" else plan.rows("jobs") // 3 if not asked.states else 0
    )
    assert plan.pages < 160
    assert not plan.sorts


@pytest.mark.parametrize("state", BY_STATE)
@pytest.mark.parametrize("paging", ["first", "next"])
async def test_a_page_of_a_state_that_few_are_in_finds_those(
    crowded: Explaining, state: JobState, paging: str
) -> None:
    after = None
    if paging == "next":
        after = {
            JobState.DEAD: JobId(numbered(FINISHED + DELAYED + OTHERS + READY + 100)),
            JobState.SCHEDULED: JobId(numbered(FIRST_HELD + HELD // 2)),
            JobState.RUNNING: JobId(numbered(FIRST_HELD + HELD // 2)),
        }.get(state, JobId(numbered(FINISHED + DELAYED // 2)))
    asked = JobFilter(states=frozenset({state}))
    page = await PostgresJobReader(reads(crowded)).page(asked, limit=10, after=after)
    plan = crowded.plan
    assert plan.indexes("jobs", "job_ready", "job_leases") == BY_STATE[state] | {
        "jobs_pkey",
        "job_leases_pkey",
    }
    if state in {JobState.PENDING, JobState.RUNNING, JobState.DEAD}:
        assert len(page.jobs) == 10
        # The blocked ones are sorted in among the others.
        assert plan.rows("jobs", "job_ready") <= BLOCKED + 40
        assert plan.pages < 200
    else:
        assert page.jobs == ()


@pytest.mark.parametrize(
    "asked",
    [
        JobFilter(type="unheard of"),
        JobFilter(queue="mail"),
        JobFilter(worker_id=WorkerId("nobody")),
        JobFilter(created_before=AGES_AGO),
        JobFilter(states=frozenset({JobState.CANCELED})),
    ],
    ids=["type", "queue", "worker", "created_before", "ended"],
)
async def test_what_hardly_any_job_fits_is_looked_for_once_along_the_key(
    crowded: Explaining, asked: JobFilter
) -> None:
    """The record has no index for these, which every submission would pay for: it takes one walk, and no more."""
    page = await PostgresJobReader(reads(crowded)).page(asked, limit=10, after=None)
    assert page.jobs == ()
    plan = crowded.plan
    assert plan.indexes("jobs") == {"jobs_pkey"}
    assert plan.reads(FIRST_HELD - 1 + HELD, "jobs")
    assert plan.rows("job_leases") <= HELD
    assert not plan.sorts


@pytest.mark.parametrize(
    ("asked", "read"),
    [
        (JobFilter(type="unheard of"), 1_000),
        (JobFilter(states=frozenset({JobState.SUCCESS}), worker_id=WorkerId("nobody")), 1_000),
        (JobFilter(states=frozenset({JobState.DEAD}), error_kind="unheard of"), 2 * 100),
        (JobFilter(states=frozenset({JobState.PENDING}), type="unheard of"), 2 * 100),
    ],
    ids=["type", "worker", "error", "waiting"],
)
async def test_a_walk_has_an_end_and_the_next_page_goes_on_from_there(
    crowded: Explaining, asked: JobFilter, read: int
) -> None:
    reader = PostgresJobReader(reads(crowded), scan_limit=1_000, sparse_scan_limit=100)
    first = await reader.page(asked, limit=10, after=None)
    second = await reader.page(asked, limit=10, after=first.next_after)
    assert (first.jobs, second.jobs) == ((), ())
    assert first.next_after is not None
    assert second.next_after is not None
    assert second.next_after < first.next_after
    for plan in crowded.plans:
        # And the one where the walk ended.
        assert plan.rows("jobs", "job_ready") <= read + BLOCKED + 1
        assert plan.pages < 3_000


async def test_a_range_of_time_is_found_by_id(crowded: Explaining) -> None:
    asked = JobFilter(created_after=AGES_AGO - timedelta(days=1), created_before=AGES_AGO + timedelta(days=1))
    assert (await PostgresJobReader(reads(crowded)).page(asked, limit=10, after=None)).jobs == ()
    later = JobFilter(created_after=datetime.now(UTC))
    assert (await PostgresJobReader(reads(crowded)).page(later, limit=10, after=None)).jobs == ()
    within, above = crowded.plans
    assert within.reads(FIRST_HELD - 1 + HELD, "jobs")
    assert above.rows("jobs") == 0
    assert above.pages < 20


AT_ONCE = Retention(success=timedelta(0), canceled=timedelta(0), dead=timedelta(0))


async def test_pruning_walks_no_further_than_it_takes(crowded: Explaining) -> None:
    records = PostgresRecords(reads(crowded))
    assert (await records.prune_jobs(AT_ONCE, limit=500)).jobs == 500
    _, plan, _ = crowded.plans
    assert plan.indexes("jobs", "trails") == named_indexes("prune_jobs")
    assert 500 <= plan.rows("jobs") <= 500 + AHEAD
    assert plan.pages < 8_000


async def test_pruning_has_an_end_where_nothing_has_expired(crowded: Explaining) -> None:
    records = PostgresRecords(reads(crowded), scan_limit=1_000)
    century = timedelta(days=36_500)
    kept = Retention(success=timedelta(0), canceled=century, dead=century)
    with psycopg.connect(crowded.url) as connection:
        connection.execute("update jobs set status = 'CANCELED' where status = 'SUCCESS'")
    for _ in range(2):
        assert await records.prune_jobs(kept, limit=10) == Pruned()
    for plan in crowded.plans[1::3]:
        assert plan.indexes("jobs", "trails") == named_indexes("prune_jobs")
        assert 1_000 <= plan.rows("jobs") <= 1_000 + AHEAD


async def test_pruning_workflows_reads_their_jobs_and_no_others(crowded: Explaining) -> None:
    with psycopg.connect(crowded.url) as connection:
        connection.execute(
            "update workflows set completed_at = now(), total_jobs = 0 where workflow_id > %s",
            [numbered(500)],
        )
        connection.execute(
            "update workflows set completed_at = now(), canceled_jobs = 10 where workflow_id <= %s",
            [numbered(500)],
        )
    pruned = await PostgresRecords(reads(crowded)).prune_workflows(AT_ONCE, limit=1_000)
    assert (pruned.workflows, pruned.jobs, pruned.more) == (100, 0, True), "those of others go on"
    _, plan = crowded.plans
    assert plan.indexes("jobs", "workflows", "job_dependencies") == named_indexes("prune_workflows")
    assert plan.rows("jobs") <= 500


async def test_totals_do_not_read_what_has_ended(crowded: Explaining) -> None:
    await PostgresQueues(reads(crowded)).stats()
    plan = crowded.plans[0]
    assert plan.statement == load("stats")
    assert plan.indexes("job_ready") == named_indexes("stats")
    assert {node["Node Type"] for node in plan.nodes if node.get("Relation Name") == "job_ready"} == {
        "Index Only Scan"
    }
    assert plan.indexes("jobs") == {"jobs_blocked_idx", "jobs_pkey"}
    assert plan.reads(BLOCKED + HELD, "jobs")
    assert plan.reads(DELAYED + OTHERS + READY, "job_ready")


async def test_lost_jobs_are_looked_for_among_those_that_run(crowded: Explaining) -> None:
    assert await PostgresWorkers(reads(crowded)).lost_jobs(10) == []
    plan = crowded.plan
    assert plan.indexes("job_leases") == named_indexes("lost_jobs")
    assert (plan.rows("job_leases"), plan.rows("jobs")) == (HELD, 0)


async def test_workflows_are_read_by_key(crowded: Explaining) -> None:
    reader = PostgresWorkflowReader(reads(crowded))
    workflow_id = WorkflowId(numbered(3))
    await reader.get(workflow_id)
    await reader.jobs(workflow_id)
    await PostgresWorkflowStore(crowded).lock([workflow_id])
    await PostgresWorkflowStore(crowded).lock_jobs(workflow_id)
    for plan in crowded.plans:
        assert None not in plan.indexes("workflows", *CROWDED)
        assert plan.pages < 60


async def test_a_page_of_workflows_follows_the_key(crowded: Explaining) -> None:
    await PostgresWorkflowReader(reads(crowded)).page(status=None, name=None, limit=10, after=None)
    plan = crowded.plan
    assert plan.indexes("workflows") == {"workflows_pkey"}
    assert plan.rows("workflows") <= 3 * 11 + AHEAD
    # What each of them needs to know of its jobs is asked for each, not found by reading all jobs.
    assert plan.indexes("jobs", "job_leases") == {"jobs_workflow_idx", "job_leases_workflow_idx"}
    assert not plan.sorts


@pytest.mark.parametrize(
    ("status", "index"),
    [
        (WorkflowState.PENDING, "workflows_open_idx"),
        (WorkflowState.RUNNING, "workflows_open_idx"),
        (WorkflowState.SUCCESS, "workflows_pkey"),
        (WorkflowState.FAILED, "workflows_pkey"),
        (WorkflowState.CANCELED, "workflows_pkey"),
    ],
)
async def test_workflows_in_a_state_are_looked_for_no_further_than_a_walk_goes(
    crowded: Explaining, status: WorkflowState, index: str
) -> None:
    with psycopg.connect(crowded.url) as connection:
        connection.execute(
            "update workflows set completed_at = now(), succeeded_jobs = 10 where workflow_id <= %s",
            [numbered(990)],
        )
    page = await PostgresWorkflowReader(reads(crowded), scan_limit=100).page(
        status=status, name=None, limit=20, after=None
    )
    assert (len(page.workflows), page.next_after is not None) == {
        WorkflowState.PENDING: (10, False),
        WorkflowState.RUNNING: (0, False),
        WorkflowState.SUCCESS: (20, True),
    }.get(status, (0, True))
    plan = crowded.plan
    assert plan.indexes("workflows") == {index, "workflows_pkey"}
    assert plan.rows("workflows") <= 100 + 1 + AHEAD
    assert not plan.sorts


async def test_a_workflow_is_found_by_name(crowded: Explaining) -> None:
    await PostgresWorkflowReader(reads(crowded)).page(status=None, name="flow 7", limit=10, after=None)
    assert crowded.plan.indexes("workflows") == {"workflows_tenant_id_name_key", "workflows_pkey"}
    assert crowded.plan.rows("workflows") == 3  # found, measured, shown


FIRST_READY = FINISHED + DELAYED + OTHERS + 1
FIRST_BLOCKED = FINISHED + DELAYED + OTHERS + READY + DEAD + 1


@pytest.mark.parametrize(
    ("number", "rows"),
    [
        # Itself, and the leases of those hundred workers who could take it.
        (FIRST_READY, 1 + HELD),
        # Itself, what it waits for, once more on the way from there, and again to be told; as many leases, and no worker's.
        (FIRST_BLOCKED, 1 + 3 + 1 + HELD),
        # Itself, its lease, and what its worker runs.
        (FIRST_HELD, 1 + 1 + HELD // 100),
        # Itself.
        (1, 1),
    ],
)
async def test_facts_of_a_job_are_found_by_key(crowded: Explaining, number: int, rows: int) -> None:
    inputs = await PostgresExplainInputsReader(reads(crowded)).inputs(JobId(numbered(number)))
    assert inputs is not None
    plan = crowded.plan
    assert plan.indexes(*CROWDED) <= named_indexes("explain_inputs")
    assert plan.reads(rows, *CROWDED)


async def test_what_goes_first_is_counted_and_nothing_else(crowded: Explaining) -> None:
    reader = PostgresExplainInputsReader(reads(crowded), patience_seconds=60)
    inputs = await reader.inputs(JobId(numbered(FIRST_READY + 1_000)))
    assert inputs is not None
    assert inputs.ready
    crowded.plans.clear()
    assert await reader.position(inputs, ahead_max=10_000) == QueuePosition(ahead=1_000)
    plan = crowded.plan
    assert plan.indexes("job_ready") == named_indexes("queue_position")
    # The first of each lane, and those: neither what is delayed nor what is of another type or stands behind.
    assert plan.reads(3 + 1_000, "job_ready")
    assert await reader.position(inputs, ahead_max=100) == QueuePosition(ahead=100, at_least=True)
    assert crowded.plans[-1].rows("job_ready") <= 3 + 101 + AHEAD


async def test_the_lineage_of_jobs_is_found_by_key(crowded: Explaining) -> None:
    upstream = [JobId(numbered(FIRST_HELD + n)) for n in range(5)]
    reader = PostgresLineageReader(reads(crowded))
    lineage = await reader.lineage([*upstream, JobId(numbered(1))], upstream_ids=upstream)
    assert (len(lineage.upstream), len(lineage.dependants)) == (5, 5)
    assert crowded.plan.indexes(*CROWDED) == named_indexes("lineage")
    # Jobs, their leases, and edges.
    assert crowded.plan.reads(5 + 5 + 5, *CROWDED)


async def test_some_jobs_of_a_workflow_are_found_by_it(crowded: Explaining) -> None:
    reader = PostgresWorkflowReader(reads(crowded))
    page = await reader.some_jobs(WorkflowId(numbered(3)), limit=2, bytes_max=1_000, after=None)
    assert len(page.jobs) == 2
    assert page.next_after is not None
    assert crowded.plan.indexes("jobs", "job_leases", "trails") == named_indexes("some_jobs")
    # Each to tell how large it is, each whole, and the one that follows.
    assert crowded.plan.reads(2 + 2 + 1, "jobs")


async def test_requests_are_found_by_about_their_time(crowded: Explaining) -> None:
    request_spans = PostgresRequestSpans(reads(crowded))
    served = a_request_served()
    await crowded.session.fetch(
        written("""
        insert into request_spans (id, at, span_ids, requests)
        select -n, now() - n * interval '1 s', array[n], '[]' from generate_series(1, 20000) n
    """)
    )
    await request_spans.keep([served])
    await crowded.session.fetch(written("analyze request_spans"))
    crowded.plans.clear()
    await request_spans.find([Asked(served.trace.span_id, datetime.now(UTC))])
    assert crowded.plan.indexes("request_spans") == {"request_spans_at_idx"}
    assert crowded.plan.rows("request_spans") <= 70
    crowded.plans.clear()
    await request_spans.prune(timedelta(days=1), spans_max=1_000_000, limit=100)
    assert crowded.plan.indexes("request_spans") == {"request_spans_pkey"}
    assert crowded.plan.rows("request_spans") <= 300
