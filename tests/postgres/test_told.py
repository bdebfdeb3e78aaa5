"""What the holder of a matched job is told equals what it would read, or it reads it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import attrs
import orjson
import psycopg
import pytest
from attrs import define, field
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL, Identifier

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.job_queue import PostgresJobQueue
from schedora.adapters.postgres.jobs import PostgresJobStore
from schedora.adapters.postgres.sync_match import channel, listener_lock_key, matched_job, told
from schedora.adapters.postgres.tables import metadata
from schedora.application.encoding import encode_json
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import IncarnationId, JsonText, WorkerId
from schedora.domain.job_request import PRIORITY_MAX, TIMEOUT_LIMIT, JobRequest
from schedora.domain.retry import DELAY_LIMIT, MICROSECOND, RETRIES_LIMIT, RetryKind, RetryPolicy
from schedora.domain.trace import TraceContext
from schedora.domain.worker import WORKER_ID_LENGTH_MAX, Worker
from tests.builders import a_lease_id, a_new_job, a_request, an_incarnation
from tests.contract.postgres import postgres_stores
from tests.programs import PATIENCE_SECONDS

BYTES_MAX = 7_999
"""What a message of PostgreSQL's can be."""


@define(eq=False)
class Listener:
    """Hears all that is said on one channel, one message after the other."""

    _heard: asyncio.Queue[str] = field(factory=asyncio.Queue)

    def __call__(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._heard.put_nowait(str(payload))

    async def next(self) -> str:
        return await asyncio.wait_for(self._heard.get(), PATIENCE_SECONDS)

    @classmethod
    @asynccontextmanager
    async def to(cls, database: Database, owner: IncarnationId) -> AsyncIterator["Listener"]:
        listener = cls()
        connection = await database.connect()
        try:
            await connection.add_listener(channel(owner), listener)
            await connection.execute("select pg_advisory_lock($1)", listener_lock_key(owner))
            yield listener
        finally:
            connection.terminate()


@define
class Told:
    """One job matched: what is said of it, and what its holder can read."""

    message: str
    read: ClaimedJob


async def tell(database: Database, worker: Worker, request: JobRequest) -> Told:
    owner = worker.incarnation
    async with Listener.to(database, owner) as listener:
        added = await PostgresJobStore(database).add_sync_matched(new := a_new_job(request), owner)
        assert added is not None
        assert added.matched
        message = await listener.next()
    held = await PostgresJobQueue(database).claims(owner)
    return Told(message, next(job for job in held if job.job_id == new.job_id))


letters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
texts = st.text(letters, min_size=1, max_size=40)
spans = st.integers(0, DELAY_LIMIT // MICROSECOND).map(lambda count: count * MICROSECOND)
"""Of whole microseconds."""
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(letters, max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
payloads = st.dictionaries(st.text(letters, max_size=10), values, max_size=2).map(encode_json)
policies = st.builds(
    RetryPolicy,
    kind=st.sampled_from(RetryKind),
    max_retries=st.integers(0, RETRIES_LIMIT),
    base=spans,
    max_delay=spans,
)
traces = st.builds(
    TraceContext,
    trace_id=st.integers(1, 2**128 - 1).map(lambda n: f"{n:032x}"),
    span_id=st.integers(1, 2**64 - 1).map(lambda n: f"{n:016x}"),
)
requests = st.builds(
    JobRequest,
    type=texts,
    payload=payloads,
    idempotency_key=st.none() | texts,
    priority=st.integers(0, PRIORITY_MAX),
    queue=texts,
    retry=policies,
    timeout=st.integers(1, TIMEOUT_LIMIT // MICROSECOND).map(lambda count: count * MICROSECOND),
    key=st.none() | texts,
    trace=st.none() | traces,
)


@define
class Bench:
    runner: asyncio.Runner
    url: str
    database: Database

    async def compare(self, request: JobRequest, name: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            tables = SQL(", ").join(Identifier(table.name) for table in metadata.sorted_tables)
            connection.execute(SQL("truncate {}").format(tables))
        stores = postgres_stores(self.database)
        await stores.queues.resume(request.queue)
        worker = await stores.worker(worker_id=WorkerId(name), types=(request.type,))
        said = await tell(self.database, worker, request)
        assert len(said.message.encode()) <= BYTES_MAX
        told_job = matched_job(said.message, worker.incarnation)
        assert told_job is not None
        for attribute in attrs.fields(ClaimedJob):
            name = attribute.name
            assert (name, getattr(told_job, name)) == (name, getattr(said.read, name))
            assert isinstance(getattr(said.read, name), type(getattr(told_job, name))), name


@pytest.fixture
def bench(migrated_url: str) -> Iterator[Bench]:
    with asyncio.Runner() as runner:
        database = Database(migrated_url)
        runner.run(database.open())
        yield Bench(runner, migrated_url, database)
        runner.run(database.close())


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(request=requests, name=texts)
@example(
    request=a_request(payload=JsonText('{"a":"\\u0000\\"\\\\ \U0001f600"}')),
    name='\'; drop table "jobs" -- \\',
)
@example(request=a_request(payload=JsonText("{}"), idempotency_key="'\"\\"), name="工人 \U0001f477\x01\x7f")
def test_what_the_holder_is_told_is_what_it_would_read(bench: Bench, request: JobRequest, name: str) -> None:
    bench.runner.run(bench.compare(request, name))


@pytest.fixture
async def worker(database: Database) -> Worker:
    stores = postgres_stores(database)
    await stores.queues.resume("default")
    return await stores.worker()


def a_long_request(size: int, character: str) -> JobRequest:
    """One whose payload takes about so many bytes."""
    return a_request(payload=JsonText(f'{{"a":"{character * (size // len(character.encode()))}"}}'))


SIZES = [100, 5_000, 5_900, 6_300, 6_500, 7_000, 7_500, 7_600, 7_700, 7_950, 8_000, 8_100, 20_000, 1_000_000]


@pytest.mark.parametrize("character", ["a", "é", "工", "\U0001f600", '\\"', "\\\\", "\\u0000"])
async def test_of_what_is_too_large_the_holder_is_told_that_there_is_something(
    database: Database, worker: Worker, character: str
) -> None:
    whole = []
    for size in SIZES:
        said = await tell(database, worker, request := a_long_request(size, character))
        assert len(said.message.encode()) <= BYTES_MAX
        assert said.read.payload == request.payload
        told_job = matched_job(said.message, worker.incarnation)
        assert told_job in (said.read, None)
        whole.append(told_job is not None)
    assert whole[0], "what is small is told"
    assert not whole[-1]
    assert sorted(whole, reverse=True) == whole, "what is larger is not told where what is smaller is not"


@pytest.mark.parametrize("character", ["x", '"', "\\", "\x01", "工", "\U0001f477"])
async def test_the_longest_name_of_a_worker_leaves_room(database: Database, character: str) -> None:
    stores = postgres_stores(database)
    await stores.queues.resume("default")
    worker = await stores.worker(worker_id=WorkerId(character * WORKER_ID_LENGTH_MAX))
    told_jobs = 0
    for size in range(5_600, 8_200, 50):
        said = await tell(database, worker, a_long_request(size, "a"))
        told_job = matched_job(said.message, worker.incarnation)
        assert told_job in (said.read, None)
        told_jobs += told_job is not None
    assert told_jobs, "some of them fit"


OWNER = an_incarnation()


def a_message(**changed: Any) -> str:
    """What the store would say of a job, but for these fields; without those that are None."""
    beginning = told(a_new_job(), OWNER, a_lease_id())
    said = orjson.loads(f'{beginning},"worker_id":"w1","at_us":1900000000000000}}') | changed
    return orjson.dumps({name: value for name, value in said.items() if value is not ...}).decode()


def test_a_message_that_is_whole_tells_of_a_job() -> None:
    job = matched_job(a_message(), OWNER)
    assert job is not None
    assert (job.owner, job.claimed_at.timestamp()) == (OWNER, 1_900_000_000)


def test_a_later_release_may_tell_more() -> None:
    message = a_message()
    more = orjson.dumps(orjson.loads(message) | {"more": [1]}).decode()
    assert matched_job(more, OWNER) == matched_job(message, OWNER) is not None


@pytest.mark.parametrize(
    "field_name",
    [
        "owner", "job_id", "lease_id", "type", "queue", "priority", "payload", "retry", "timeout_us", "key",
        "traceparent", "worker_id", "at_us",
    ],
)  # fmt: skip
def test_a_message_that_lacks_something_tells_of_none(field_name: str) -> None:
    assert matched_job(a_message(**{field_name: ...}), OWNER) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"owner": str(UUID(int=1))},
        {"owner": 1},
        {"job_id": "1"},
        {"job_id": 1},
        {"lease_id": "x"},
        {"lease_id": None},
        {"retry": []},
        {"retry": ["fixed", 3, 1, 1, 1]},
        {"retry": ["never", 3, 1, 1]},
        {"retry": ["fixed", RETRIES_LIMIT + 1, 1, 1]},
        {"retry": ["fixed", 3, -1, 1]},
        {"retry": ["fixed", 3, 1, 2**63]},
        {"retry": ["fixed", 3, 1e300, 1]},
        {"timeout_us": "1"},
        {"timeout_us": 1e300},
        {"at_us": 1e300},
        {"at_us": -(2**62)},
        {"at_us": 2**63},
        {"at_us": None},
    ],
    ids=str,
)
def test_a_message_that_makes_no_sense_tells_of_none(changed: dict[str, Any]) -> None:
    assert matched_job(a_message(**changed), OWNER) is None


@pytest.mark.parametrize(
    "said", ["", "hello", "[]", "1", "null", "{}", '"owner"', "\x00", pytest.param("[" * 5_000, id="deep")]
)
def test_whatever_others_say_on_the_channel_tells_of_no_job(said: str) -> None:
    assert matched_job(said, OWNER) is None


def test_each_owner_has_a_channel_whose_name_is_one() -> None:
    names = {channel(OWNER), channel(an_incarnation())}
    assert len(names) == 2
    assert all(name.isidentifier() and name.islower() and len(name) < 64 for name in names)
