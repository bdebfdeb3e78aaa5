"""Whatever befalls Redis, the adapters over it do what their ports promise, say so once, and find it again."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from schedora.adapters.postgres import health as health_module
from schedora.adapters.postgres.engine import Database
from schedora.adapters.redis import link as link_module
from schedora.adapters.redis import wakeup as wakeup_module
from schedora.adapters.redis.health import RedisHealth
from schedora.adapters.redis.heartbeats import RedisHeartbeats
from schedora.adapters.redis.link import RedisLink
from schedora.adapters.redis.run_locks import RedisRunLocks
from schedora.application.ports.run_locks import Contested, RunLock
from schedora.application.queries.health import CheckHealth, HealthReport
from schedora.domain.events import JobEvent, Notice
from schedora.domain.ids import JsonText
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora.domain.limits import RateLimit, Take, TokenRequest
from schedora.domain.outcome import Succeeded
from tests.builders import HOUR, NOON, a_job_id, a_lease_id, a_request, an_incarnation
from tests.contract.listener import EVERYTHING, Listener
from tests.contract.postgres import postgres_stores
from tests.contract.redis import redis_stores
from tests.contract.stores import Stores
from tests.programs import PATIENCE_SECONDS
from tests.redis.faults import FAULTS, Fault
from tests.redis.proxy import FaultProxy
from tests.redis.reaching import noticing, reaching, until_up
from tests.redis.servers import RedisServer

TIMEOUT = timedelta(seconds=90)


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[FaultProxy]:
    with FaultProxy(redis_server) as proxy:
        yield proxy


@pytest.fixture
async def link(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisLink]:
    """That soon finds a server that is back, however long it was away."""
    monkeypatch.setattr(link_module, "_BACKOFF_MAX", timedelta(seconds=0.1))
    async with reaching(proxy.url) as link:
        yield link


@pytest.fixture(autouse=True)
def _busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """That it is slow is no sign that anything is lost, nor away."""
    monkeypatch.setattr(wakeup_module, "_PROBE_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(health_module, "_PATIENCE", timedelta(seconds=PATIENCE_SECONDS))


class Everything:
    """All that stands on Redis in one process."""

    def __init__(self, database: Database, link: RedisLink) -> None:
        self.stores: Stores = redis_stores(database, link)
        self.heartbeats = RedisHeartbeats(link, lifetime=TIMEOUT)
        self.run_locks = RedisRunLocks(link, lifetime=TIMEOUT)
        self.check_health = CheckHealth(
            database=postgres_stores(database).health, workers=self.stores.workers, redis=RedisHealth(link)
        )

    async def health(self) -> HealthReport:
        return await self.check_health()

    async def works(self) -> None:
        """What does not depend on Redis."""
        job = await self.is_woken()
        worker = await self.stores.worker()
        [claimed] = await self.stores.claim(worker)
        assert claimed.job_id == job.job_id
        assert await self.stores.complete(claimed, Succeeded(result=JsonText("1")))
        for _ in range(2):
            assert (await self.stores.job(job.job_id)).status is JobState.SUCCESS
        await self.limits()
        await self.tells(job)

    async def is_woken(self) -> Job:
        listener, worker = Listener(), await self.stores.worker()
        async with self.stores.wakeup.subscribe(listener, EVERYTHING) as subscription:
            subscription.attend(owner=worker.incarnation, idle=True)
            job = await self.stores.submit_one(a_request(queue="mail"))
            self.stores.wakeup.notify(queues=["mail"])
            await listener.until(lambda heard: "mail" in heard.queues)
        return job

    async def limits(self) -> None:
        limit = RateLimit(tokens=1, per=HOUR, burst=1)
        request = TokenRequest((Take(bucket=str(a_job_id()), limit=limit, tokens=1),))
        decisions = await self.stores.rate_limiter.take([request, request])
        assert [decision.granted for decision in decisions] == [True, False]

    async def tells(self, job: Job) -> None:
        moved = JobEvent(at=NOON, from_state=None, to_state=JobState.PENDING, attempt=0)
        notice = Notice(job_id=job.job_id, type="work", queue="mail", workflow_id=None, event=moved)
        await self.stores.events.attend(HOUR)
        position = await self.stores.events.now()
        self.stores.events.publish([notice])
        reading = await self.stores.events.read(position, limit=1, patience=TIMEOUT)
        assert [told.notice for told in reading.told] == [notice]

    async def shows_life(self) -> bool:
        """Whether Redis takes a sign of life, and a lock; both or none."""
        owner, lock = an_incarnation(), RunLock(a_job_id(), a_lease_id())
        beaten = await self.heartbeats.beat(owner)
        taken = await self.run_locks.take(owner, [lock])
        assert (await self.heartbeats.alive([owner]) == {owner}) == beaten
        assert taken == ([] if beaten else None)
        return beaten


@pytest.mark.parametrize(("fault", "why"), FAULTS.values(), ids=FAULTS)
async def test_it_is_done_without_said_once_and_found_again(
    fault: Fault,
    why: str,
    redis_server: RedisServer,
    proxy: FaultProxy,
    link: RedisLink,
    database: Database,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "schedora.redis")
    everything = Everything(database, link)
    assert (await everything.health()).status == "healthy"
    await everything.works()
    assert await everything.shows_life()

    with fault(redis_server, proxy), noticing(link, why):
        while link.up:
            await everything.heartbeats.beat(an_incarnation())
        for _ in range(2):
            await everything.works()
            assert not await everything.shows_life()
            report = await everything.health()
            assert (report.status, report.database, report.redis) == ("degraded", "up", "down")
            assert report.detail is not None
            assert report.detail.startswith(f"{link.description} {why}")

    await until_up(link)
    await everything.works()
    assert await everything.shows_life()
    assert (await everything.health()).status == "healthy"
    said = [record.getMessage() for record in caplog.records if record.name == "schedora.redis"]
    assert ["redis is away" in said[0], "redis is back" in said[1], len(said)] == [True, True, 2], said
    assert link.description in said[0]


async def test_one_that_was_emptied_and_forgot_its_scripts_is_not_missed(
    redis_server: RedisServer, link: RedisLink, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "schedora.redis")
    everything = Everything(database, link)
    owner, lock = an_incarnation(), RunLock(a_job_id(), a_lease_id())
    await everything.run_locks.take(owner, [lock])
    for forgotten in ("FLUSHALL", "SCRIPT FLUSH"):
        redis_server.ask(*forgotten.split())
        await everything.works()
        assert await everything.shows_life()
    assert await everything.run_locks.renew(owner, [lock]) == []
    rival = RunLock(lock.job_id, a_lease_id())
    assert await everything.run_locks.renew(owner, [rival]) == [Contested(rival, str(lock.lease_id))]
    assert link.up
    assert [record.getMessage() for record in caplog.records if record.name == "schedora.redis"] == []
