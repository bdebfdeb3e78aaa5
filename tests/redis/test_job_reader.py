"""The cache of jobs that have succeeded: what comes out of it, what never does, and what it does when Redis is away."""

from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

import pytest

from schedora.adapters.memory.job_reader import MemoryJobReader
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.job_reader import PostgresJobReader
from schedora.adapters.redis import job_reader
from schedora.adapters.redis.cached_job import FORMAT, encode
from schedora.adapters.redis.job_reader import ENTRY_BYTES_MAX, LIFE, RedisJobReader
from schedora.adapters.redis.link import RedisLink
from schedora.application.errors import StoreUnavailable
from schedora.domain.ids import JobId, JsonText
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, Succeeded
from tests.builders import a_job, a_job_id, a_request
from tests.contract.memory import a_memory_store, memory_stores
from tests.contract.postgres import postgres_stores
from tests.contract.stores import Stores
from tests.redis.proxy import Behaviour, FaultProxy
from tests.redis.reaching import impatience, reaching, until_up
from tests.redis.servers import RedisServer


class CountingReader(MemoryJobReader):
    """Counts what the store is asked."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.asked = 0

    async def get(self, job_id: JobId) -> Job | None:
        self.asked += 1
        return await super().get(job_id)


@pytest.fixture
def store() -> MemoryStore:
    return a_memory_store()


@pytest.fixture
def stores(store: MemoryStore) -> Stores:
    return memory_stores(store)


@pytest.fixture
def behind(store: MemoryStore) -> CountingReader:
    return CountingReader(store)


@pytest.fixture
async def link(redis_server: RedisServer) -> AsyncIterator[RedisLink]:
    async with reaching(redis_server.url) as link:
        yield link


@pytest.fixture
def reader(link: RedisLink, behind: CountingReader) -> RedisJobReader:
    return RedisJobReader(link, behind)


async def run(stores: Stores, *outcomes: Any, **fields: Any) -> Job:
    job = await stores.submit_one(a_request(**fields))
    for outcome in outcomes:
        [claimed] = await stores.claim(await stores.worker())
        assert await stores.complete(claimed, outcome)
    return await stores.job(job.job_id)


async def twice(reader: RedisJobReader, job: Job) -> None:
    """Then it is in the cache, unless it does not belong there."""
    for _ in range(2):
        assert await reader.get(job.job_id) == job


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """By our adapters."""
    return [record.getMessage() for record in caplog.records if record.name == "schedora.redis"]


async def test_what_has_succeeded_is_asked_for_twice_and_not_again(
    stores: Stores, behind: CountingReader, reader: RedisJobReader
) -> None:
    job = await run(stores, Succeeded(result=JsonText('{"a":1}')))
    assert [await reader.get(job.job_id) for _ in range(5)] == [job] * 5
    assert behind.asked == 2


async def test_what_is_read_once_costs_redis_nothing(
    stores: Stores, behind: CountingReader, reader: RedisJobReader, link: RedisLink
) -> None:
    """Neither while it goes on, however often it is asked for, nor when it has succeeded."""
    job = await stores.submit_one()
    await link.call("CONFIG", "RESETSTAT")
    for _ in range(3):
        await reader.get(job.job_id)
    [claimed] = await stores.claim(await stores.worker())
    await stores.complete(claimed, Succeeded())
    seen = await reader.get(job.job_id)
    assert seen is not None
    assert seen.status is JobState.SUCCESS
    commands = str(await link.call("INFO", "commandstats"))
    assert "cmdstat_mget" not in commands
    assert link.keys.job(job.job_id, FORMAT).encode() not in await link.call("KEYS", "*")
    assert behind.asked == 4


async def test_other_processes_find_it_too(
    stores: Stores, behind: CountingReader, reader: RedisJobReader, redis_server: RedisServer
) -> None:
    job = await run(stores, Succeeded())
    await twice(reader, job)
    async with reaching(redis_server.url) as link:
        another = RedisJobReader(link, behind)
        assert [await another.get(job.job_id) for _ in range(3)] == [job] * 3
    assert behind.asked == 3


async def test_it_is_kept_for_a_minute_and_no_longer_by_being_read(
    stores: Stores, reader: RedisJobReader, link: RedisLink
) -> None:
    job = await run(stores, Succeeded())
    await twice(reader, job)
    key = link.keys.job(job.job_id, FORMAT)
    assert 0 < await link.call("PTTL", key) <= LIFE.total_seconds() * 1000 == 60_000
    await link.call("PEXPIRE", key, 30_000)
    await reader.get(job.job_id)
    assert await link.call("PTTL", key) <= 30_000


@pytest.mark.parametrize(
    "outcome", [None, Failed(kind="Oops", message="", retryable=False), Failed(kind="Oops", message="")]
)
async def test_what_can_change_is_never_cached(
    stores: Stores, behind: CountingReader, reader: RedisJobReader, link: RedisLink, outcome: Any
) -> None:
    job = await run(stores, *([] if outcome is None else [outcome]))
    for _ in range(3):
        assert await reader.get(job.job_id) == job
    assert behind.asked == 3
    assert set(await link.call("KEYS", "*")) <= {link.keys.probe().encode()}


@pytest.mark.parametrize("state", [JobState.DEAD, JobState.CANCELED])
async def test_a_job_that_is_requeued_is_never_seen_as_it_was(
    stores: Stores, reader: RedisJobReader, state: JobState
) -> None:
    job = await run(
        stores, *([Failed(kind="Oops", message="", retryable=False)] if state is JobState.DEAD else [])
    )
    if state is JobState.CANCELED:
        await stores.cancel(job.job_id)
    for _ in range(3):
        seen = await reader.get(job.job_id)
        assert seen is not None
        assert seen.status is state
    requeued = await stores.requeue(job.job_id)
    assert requeued.status is JobState.PENDING
    assert await reader.get(job.job_id) == await stores.job(job.job_id)


async def test_of_what_was_read_only_so_many_are_remembered(
    stores: Stores, reader: RedisJobReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_reader, "READ_MAX", 2)
    jobs = [await run(stores, Succeeded()) for _ in range(3)]
    for job in (jobs[0], jobs[1], jobs[0], jobs[2]):
        await reader.get(job.job_id)
    assert list(reader._read) == [jobs[1].job_id, jobs[2].job_id]


async def test_from_the_cache_it_comes_without_any_statement(database: Database, link: RedisLink) -> None:
    job = await run(postgres_stores(database), Succeeded(result=JsonText('{"a":1}')))
    reader = RedisJobReader(link, PostgresJobReader(database))
    await twice(reader, job)
    await database.close()
    assert await reader.get(job.job_id) == job
    with pytest.raises(StoreUnavailable, match="is not open"):
        await reader.get(a_job_id())


async def test_one_that_has_changed_all_the_same_is_not_written_again(
    stores: Stores, reader: RedisJobReader, link: RedisLink, store: MemoryStore
) -> None:
    """The database came back as it was before."""
    job = await run(stores, Succeeded())
    await reader.get(job.job_id)
    async with store.transaction() as tables:
        tables.jobs[job.job_id] = before = a_job(JobState.DEAD, job_id=job.job_id)
    for _ in range(2):
        assert await reader.get(job.job_id) == before
    assert not await link.call("EXISTS", link.keys.job(job.job_id, FORMAT))


async def test_one_that_is_not_there_is_looked_for_each_time(
    behind: CountingReader, reader: RedisJobReader
) -> None:
    stranger = a_job_id()
    assert [await reader.get(stranger) for _ in range(2)] == [None, None]
    assert behind.asked == 2


async def test_large_ones_are_not_cached(
    stores: Stores, behind: CountingReader, reader: RedisJobReader
) -> None:
    job = await run(stores, Succeeded(result=JsonText(f'"{"x" * ENTRY_BYTES_MAX}"')))
    assert [await reader.get(job.job_id) for _ in range(4)] == [job] * 4
    assert behind.asked == 4


@pytest.mark.parametrize(
    "foreign",
    [
        b"",
        b"garbage",
        b"\x80\x04\x95.",
        b'{"job_id":1}',
        encode(a_job(JobState.SUCCESS)),
        encode(a_job(JobState.DEAD)),
    ],
    ids=["empty", "garbage", "a pickle", "another shape", "another job", "a job that can change"],
)
async def test_what_does_not_belong_there_is_a_miss_told_of_once_and_put_right(
    stores: Stores,
    behind: CountingReader,
    reader: RedisJobReader,
    link: RedisLink,
    caplog: pytest.LogCaptureFixture,
    foreign: bytes,
) -> None:
    first, second = await run(stores, Succeeded()), await run(stores, Succeeded())
    for job in (first, second):
        await link.call("SET", link.keys.job(job.job_id, FORMAT), foreign, "PX", 60_000)
    for job in (first, second):
        assert [await reader.get(job.job_id) for _ in range(3)] == [job] * 3
    assert behind.asked == 4
    [line] = said(caplog)
    assert link.keys.job(first.job_id, FORMAT) in line


async def test_a_key_of_another_type_is_a_miss_and_put_right(
    stores: Stores,
    behind: CountingReader,
    reader: RedisJobReader,
    link: RedisLink,
    caplog: pytest.LogCaptureFixture,
) -> None:
    job = await run(stores, Succeeded())
    await link.call("LPUSH", link.keys.job(job.job_id, FORMAT), "x")
    assert [await reader.get(job.job_id) for _ in range(3)] == [job] * 3
    assert (behind.asked, said(caplog)) == (2, [])


async def test_another_release_sees_a_miss(
    stores: Stores,
    behind: CountingReader,
    reader: RedisJobReader,
    link: RedisLink,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    job = await run(stores, Succeeded())
    await twice(reader, job)
    monkeypatch.setattr(job_reader, "FORMAT", "another")
    another = RedisJobReader(link, behind)
    assert [await another.get(job.job_id) for _ in range(3)] == [job] * 3
    monkeypatch.undo()
    assert await reader.get(job.job_id) == job
    assert (behind.asked, said(caplog)) == (4, [])


async def test_an_emptied_server_is_filled_again(
    stores: Stores, behind: CountingReader, reader: RedisJobReader, redis_server: RedisServer
) -> None:
    job = await run(stores, Succeeded())
    await reader.get(job.job_id)
    for _ in range(2):
        redis_server.empty()
        assert [await reader.get(job.job_id) for _ in range(2)] == [job] * 2
    assert behind.asked == 3


async def test_the_store_is_asked_while_redis_is_away_and_not_when_it_is_back(
    stores: Stores, behind: CountingReader, redis_server: RedisServer
) -> None:
    job = await run(stores, Succeeded())
    with FaultProxy(redis_server) as proxy:
        async with reaching(proxy.url) as link:
            reader = RedisJobReader(link, behind)
            await twice(reader, job)
            for behaviour in (Behaviour.RESET, Behaviour.CUT, Behaviour.BLACK_HOLE):
                proxy.behave(behaviour)
                asked = behind.asked
                with impatience(link) if behaviour is Behaviour.BLACK_HOLE else nullcontext():
                    assert [await reader.get(job.job_id) for _ in range(3)] == [job] * 3
                assert behind.asked == asked + 3
                proxy.behave(Behaviour.PASS)
                await until_up(link)
                assert await reader.get(job.job_id) == job
                assert behind.asked == asked + 3


async def test_one_that_went_away_between_the_two_commands_is_no_trouble(
    stores: Stores, behind: CountingReader, link: RedisLink, redis_server: RedisServer
) -> None:
    job = await run(stores, Succeeded())

    class Killing(CountingReader):
        async def get(self, job_id: JobId) -> Job | None:
            if self.asked:
                redis_server.kill()
            self.asked += 1
            return await behind.get(job_id)

    reader = RedisJobReader(link, Killing(a_memory_store()))
    await reader.get(job.job_id)
    assert link.up
    await reader.get(job.job_id)
    assert not link.up


async def test_the_link_that_is_not_open_yet_is_no_trouble(
    stores: Stores, behind: CountingReader, redis_server: RedisServer
) -> None:
    job = await run(stores, Succeeded())
    await twice(RedisJobReader(RedisLink(redis_server.url), behind), job)
