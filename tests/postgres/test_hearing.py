"""A subscription that hears of jobs matched with its owner: from when on, for how long, and of whose."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import psycopg
import pytest
from attrs import define

from schedora.adapters.postgres import wakeup as wakeup_module
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.jobs import PostgresJobStore
from schedora.adapters.postgres.sync_match import channel, listener_lock_key
from schedora.adapters.postgres.wakeup import PostgresSubscription, PostgresWakeup
from schedora.application.ports.jobs import NewJob
from schedora.application.ports.wakeup import Hint, SubscriptionFilter
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import IncarnationId, JsonText
from schedora.domain.worker import Worker
from tests.builders import a_new_job, a_request, an_incarnation
from tests.contract.postgres import postgres_stores
from tests.contract.stores import Stores
from tests.postgres.connections import held_listener_lock
from tests.programs import PATIENCE_SECONDS

ANYTHING = Hint()
NOBODY_ELSES = SubscriptionFilter(queues=("a queue of which nobody tells",))


@define(eq=False)
class Listening:
    """A subscription, and the hints that it heard, one after the other."""

    subscription: PostgresSubscription
    heard: "asyncio.Queue[Hint]"

    async def next(self) -> Hint:
        return await asyncio.wait_for(self.heard.get(), PATIENCE_SECONDS)

    async def next_job(self) -> ClaimedJob:
        """Of the next hint that tells of one; of those before, none tells of anything else than a check."""
        while (hint := await self.next()).matched is None:
            assert not hint.queues
        assert hint.owners == {hint.matched.owner}
        return hint.matched

    def attend(self, owner: IncarnationId | None) -> None:
        self.subscription.attend(owner=owner, idle=True, room=10)

    async def until(self, satisfied: Callable[[PostgresSubscription], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not satisfied(self.subscription):
                await asyncio.sleep(0.002)  # nothing else tells

    async def until_it_hears(self, owner: IncarnationId) -> None:
        await self.until(lambda subscription: subscription.hears(owner))


@define
class Office:
    database: Database
    url: str
    stores: Stores

    async def worker(self) -> Worker:
        return await self.stores.worker()

    async def match(self, worker: Worker, new: NewJob | None = None) -> ClaimedJob:
        """A job that this worker was leased, as it would read it."""
        new = new or a_new_job()
        async with held_listener_lock(self.url, worker.incarnation):
            added = await PostgresJobStore(self.database).add_sync_matched(new, worker.incarnation)
        assert added is not None
        assert added.matched
        held = await self.stores.job_queue.claims(worker.incarnation)
        return next(job for job in held if job.job_id == new.job_id)

    async def say(self, owner: IncarnationId, message: str) -> None:
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            await connection.execute("select pg_notify(%s, %s)", [channel(owner), message])

    async def kill_listeners(self) -> None:
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            cursor = await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> %s"
                " and (query like '%%LISTEN%%' or query like '%%advisory%%')",
                [connection.info.backend_pid],
            )
            assert await cursor.fetchall() == [(True,)]

    @asynccontextmanager
    async def cut_off(self) -> AsyncIterator[None]:
        """Whoever listens is cut off at the beginning, and connects again no sooner than at the end."""
        connect, may_connect = self.database.connect, asyncio.Event()

        async def later() -> "asyncpg.Connection[asyncpg.Record]":
            await may_connect.wait()
            return await connect()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.database, "connect", later)
            await self.kill_listeners()
            yield
        may_connect.set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Listening]:
        heard: asyncio.Queue[Hint] = asyncio.Queue()
        wakeup = PostgresWakeup(self.database, unit_random=lambda: 0.0)
        async with wakeup.subscribe(heard.put_nowait, NOBODY_ELSES) as subscription:
            listening = Listening(subscription, heard)
            await listening.until(lambda subscription: subscription.healthy)
            yield listening


@pytest.fixture
async def office(database: Database, migrated_url: str) -> Office:
    stores = postgres_stores(database)
    await stores.queues.resume("default")
    return Office(database, migrated_url, stores)


async def test_an_owner_is_heard_once_it_is_listened_to(office: Office) -> None:
    worker = await office.worker()
    async with office.listening() as listening:
        assert not listening.subscription.hears(worker.incarnation)
        listening.attend(worker.incarnation)
        assert not listening.subscription.hears(worker.incarnation), "so far it was only told to"
        await listening.until_it_hears(worker.incarnation)
        assert await listening.next() == Hint(owners=frozenset({worker.incarnation})), (
            "what was leased before, nobody told it"
        )
        job = await office.match(worker)
        assert await listening.next() == Hint(owners=frozenset({worker.incarnation}), matched=job)
        job = await office.match(worker)
        assert await listening.next() == Hint(owners=frozenset({worker.incarnation}), matched=job)
    assert not listening.subscription.hears(worker.incarnation)


async def test_an_owner_named_before_it_listens_at_all_is_listened_to(office: Office) -> None:
    worker = await office.worker()
    heard: asyncio.Queue[Hint] = asyncio.Queue()
    subscription = PostgresSubscription(office.database, heard.put_nowait, NOBODY_ELSES, lambda: 0.0)
    subscription.attend(owner=worker.incarnation, idle=False)
    listening = Listening(subscription, heard)
    task = asyncio.create_task(subscription.listen())
    await listening.until_it_hears(worker.incarnation)
    assert await office.match(worker) == await listening.next_job()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_of_a_job_that_is_too_large_it_hears_that_there_is_one(office: Office) -> None:
    worker = await office.worker()
    async with office.listening() as listening:
        listening.attend(worker.incarnation)
        await listening.until_it_hears(worker.incarnation)
        await listening.next()
        await office.match(worker, a_new_job(a_request(payload=JsonText('{"a":"%s"}' % ("a" * 9_000)))))
        assert await listening.next() == Hint(owners=frozenset({worker.incarnation}))
        assert len(await office.stores.job_queue.held(worker.incarnation)) == 1


async def test_only_the_owner_hears_of_its_jobs(office: Office) -> None:
    one, other = await office.worker(), await office.worker()
    async with office.listening() as of_one, office.listening() as of_other:
        of_one.attend(one.incarnation)
        of_other.attend(other.incarnation)
        await of_one.until_it_hears(one.incarnation)
        await of_other.until_it_hears(other.incarnation)
        jobs = [await office.match(worker) for worker in (one, other, one)]
        assert [await of_one.next_job(), await of_one.next_job()] == [jobs[0], jobs[2]]
        assert await of_other.next_job() == jobs[1]
        with pytest.raises(asyncio.QueueEmpty):
            of_other.heard.get_nowait()


async def test_who_registers_again_is_heard_by_the_new_name_alone(office: Office) -> None:
    first, second = await office.worker(), await office.worker()
    async with office.listening() as listening:
        listening.attend(first.incarnation)
        await listening.until_it_hears(first.incarnation)
        await office.match(first)
        await listening.next_job()
        listening.attend(second.incarnation)
        assert not listening.subscription.hears(second.incarnation)
        await listening.until_it_hears(second.incarnation)
        assert not listening.subscription.hears(first.incarnation)
        assert await listening.next() == Hint(owners=frozenset({second.incarnation}))
        await office.match(first)
        job = await office.match(second)
        assert await listening.next() == Hint(owners=frozenset({second.incarnation}), matched=job), (
            "of what is told to the first, nothing is heard any more"
        )


async def test_who_has_no_name_hears_of_nothing_and_may_get_one_again(office: Office) -> None:
    worker = await office.worker()
    async with office.listening() as listening:
        listening.attend(worker.incarnation)
        await listening.until_it_hears(worker.incarnation)
        await listening.next()
        listening.attend(None)
        await listening.until(lambda subscription: not subscription.hears(worker.incarnation))
        await office.match(worker)
        listening.attend(worker.incarnation)
        await listening.until_it_hears(worker.incarnation)
        assert await listening.next() == Hint(owners=frozenset({worker.incarnation})), "it may have missed it"
        assert await office.match(worker) == await listening.next_job()
        assert listening.subscription.healthy


async def test_names_that_change_faster_than_they_can_be_listened_to_end_with_the_last(
    office: Office,
) -> None:
    async with office.listening() as listening:
        for turns in range(30):
            listening.attend(an_incarnation())
            for _ in range(turns):
                await asyncio.sleep(0)
        last = await office.worker()
        listening.attend(last.incarnation)
        await listening.until_it_hears(last.incarnation)
        job = await office.match(last)
        assert await listening.next_job() == job


async def test_whose_connection_breaks_says_so_and_hears_again(office: Office) -> None:
    worker = await office.worker()
    async with office.listening() as listening:
        listening.attend(worker.incarnation)
        await listening.until_it_hears(worker.incarnation)
        await listening.next()
        for _ in range(2):
            async with office.cut_off():
                assert await listening.next() == ANYTHING, "it may be deaf"
                assert not listening.subscription.hears(worker.incarnation)
                await office.match(worker)  # of which it hears nothing
            assert await listening.next() == ANYTHING, (
                "it listens again, and what was told meanwhile is not known"
            )
            await listening.until_it_hears(worker.incarnation)
            assert await listening.next() == Hint(owners=frozenset({worker.incarnation}))
            job = await office.match(worker)
            assert await listening.next() == Hint(owners=frozenset({worker.incarnation}), matched=job)


async def test_a_name_that_comes_while_the_connection_is_broken_is_listened_to(office: Office) -> None:
    first, second = await office.worker(), await office.worker()
    async with office.listening() as listening:
        listening.attend(first.incarnation)
        await listening.until_it_hears(first.incarnation)
        async with office.cut_off():
            await listening.until(lambda subscription: not subscription.hears(first.incarnation))
            listening.attend(second.incarnation)
        await listening.until_it_hears(second.incarnation)
        assert await office.match(second) == await listening.next_job()


@pytest.mark.parametrize("turns", range(6))
async def test_a_connection_that_breaks_while_the_name_changes_is_made_anew(
    office: Office, turns: int
) -> None:
    first, second = await office.worker(), await office.worker()
    async with office.listening() as listening:
        listening.attend(first.incarnation)
        await listening.until_it_hears(first.incarnation)
        killing = asyncio.create_task(office.kill_listeners())
        for _ in range(turns * 20):
            await asyncio.sleep(0)
        listening.attend(second.incarnation)
        await killing
        while await listening.next() != ANYTHING:  # until then it may not know of it yet
            pass
        await listening.until_it_hears(second.incarnation)
        assert not listening.subscription.hears(first.incarnation)
        assert await office.match(second) == await listening.next_job()


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What each came to. They follow one another at once."""
    made: list[bool] = []
    arrives = wakeup_module._Probe.arrives

    async def noted(probe: wakeup_module._Probe) -> bool:
        made.append(answer := await arrives(probe))
        return answer

    monkeypatch.setattr(wakeup_module, "_PROBE_INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(wakeup_module._Probe, "arrives", noted)
    return made


async def test_whether_it_hears_at_all_is_asked_now_and_then_beside(
    office: Office, probes: list[bool]
) -> None:
    worker = await office.worker()
    async with office.listening() as listening:
        listening.attend(worker.incarnation)
        await listening.until_it_hears(worker.incarnation)
        before = len(probes)
        await listening.until(lambda _: len(probes) > before + 3)
        assert listening.subscription.hears(worker.incarnation)
        assert await office.match(worker) == await listening.next_job()
        before = len(probes)
        listening.attend(None)
        await listening.until(lambda _: len(probes) > before + 3)
    assert all(probes)


async def test_names_change_between_the_probes(office: Office, probes: list[bool]) -> None:
    workers = [await office.worker() for _ in range(2)]
    async with office.listening() as listening:
        for n in range(40):
            worker = workers[n % 2]
            listening.attend(worker.incarnation)
            await listening.until_it_hears(worker.incarnation)
            assert await office.match(worker) == await listening.next_job()
    assert probes
    assert all(probes)


async def test_who_is_not_known_to_hear_does_not_hear(
    office: Office, probes: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a pooler in transaction mode."""

    async def lost(_probe: wakeup_module._Probe) -> bool:
        probes.append(False)
        return False

    worker = await office.worker()
    async with office.listening() as listening:
        listening.attend(worker.incarnation)
        await listening.until_it_hears(worker.incarnation)
        monkeypatch.setattr(wakeup_module._Probe, "arrives", lost)
        await listening.until(lambda subscription: not subscription.healthy)
        assert not listening.subscription.hears(worker.incarnation)
        before = len(probes)
        await listening.until(lambda _: len(probes) > before)
        assert not listening.subscription.hears(worker.incarnation)


@pytest.mark.parametrize("said", ["", "hello", "[]", '{"owner": 1}', '{"job_id": "x"}', "{" * 100])
async def test_what_cannot_be_read_makes_the_owner_check(office: Office, said: str) -> None:
    owner = (await office.worker()).incarnation
    async with office.listening() as listening:
        listening.attend(owner)
        await listening.until_it_hears(owner)
        await listening.next()
        await office.say(owner, said)
        assert await listening.next() == Hint(owners=frozenset({owner}))
        assert listening.subscription.hears(owner)


async def test_a_number_beyond_all_bounds_makes_the_owner_check(office: Office) -> None:
    worker = await office.worker()
    owner = worker.incarnation
    async with office.listening() as listening:
        listening.attend(owner)
        await listening.until_it_hears(owner)
        await listening.next()
        connection = await office.database.connect()
        said: asyncio.Queue[str] = asyncio.Queue()
        await connection.add_listener(
            channel(owner), lambda *notification: said.put_nowait(str(notification[3]))
        )
        await office.match(worker)
        message = await asyncio.wait_for(said.get(), PATIENCE_SECONDS)
        connection.terminate()
        await listening.next_job()
        beginning, _, _ = message.partition('"at_us":')
        await office.say(owner, f'{beginning}"at_us":1e300}}')
        assert await listening.next() == Hint(owners=frozenset({owner}))


async def test_nothing_is_matched_to_one_whose_connection_has_gone(office: Office) -> None:
    """As when its process was killed: nobody else knows it as soon."""
    worker = await office.worker()
    store = PostgresJobStore(office.database)
    async with office.listening() as listening:
        listening.attend(worker.incarnation)
        await listening.until_it_hears(worker.incarnation)
        added = await store.add_sync_matched(a_new_job(), worker.incarnation)
        assert added is not None
        assert added.matched
    async with await psycopg.AsyncConnection.connect(office.url, autocommit=True) as connection:
        # Which it can have once the server has noticed.
        for change in ("lock", "unlock"):
            await connection.execute(
                f"select pg_advisory_{change}(%s)", [listener_lock_key(worker.incarnation)]
            )
    added = await store.add_sync_matched(a_new_job(), worker.incarnation)
    assert added is not None
    assert not added.matched


async def test_an_owner_is_let_go_with_the_next(office: Office) -> None:
    first, second = await office.worker(), await office.worker()
    store = PostgresJobStore(office.database)
    async with office.listening() as listening:
        for worker in (first, second):
            listening.attend(worker.incarnation)
            await listening.until_it_hears(worker.incarnation)
        for worker, heard in ((second, True), (first, False)):
            added = await store.add_sync_matched(a_new_job(), worker.incarnation)
            assert added is not None
            assert added.matched is heard


async def test_an_earlier_session_of_its_own_that_lives_on_keeps_nobody_from_hearing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a network was cut: the server holds a session whose client has gone, and does not notice for hours."""
    monkeypatch.setattr(wakeup_module, "_LOCK_AGAIN_SECONDS", 0.01)
    worker, other = await office.worker(), await office.worker()
    store = PostgresJobStore(office.database)
    async with office.listening() as listening:
        async with held_listener_lock(office.url, worker.incarnation):
            listening.attend(worker.incarnation)
            await listening.until_it_hears(worker.incarnation)
            await listening.next()
            wakeup = PostgresWakeup(office.database)
            wakeup.notify(owners=[other.incarnation])
            assert await listening.next() == Hint(owners=frozenset({other.incarnation}))
            assert await office.match(worker) == await listening.next_job()

        async def matched() -> bool:
            added = await store.add_sync_matched(a_new_job(), worker.incarnation)
            assert added is not None
            return added.matched

        async with asyncio.timeout(PATIENCE_SECONDS):
            while not listening.subscription._locked:
                await asyncio.sleep(0.002)  # nothing else tells
        assert await matched(), "the earlier one is gone, and this one has taken its place"
        listening.attend(other.incarnation)
        await listening.until_it_hears(other.incarnation)
        assert not await matched()
