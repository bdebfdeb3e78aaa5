"""Tokens: who gets them, who passes them on, and what becomes of them when Redis goes away or forgets."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from schedora.adapters.redis import wakeup as wakeup_module
from schedora.adapters.redis.link import RedisLink
from schedora.adapters.redis.wakeup import RedisSubscription, RedisWakeup
from schedora.application.ports.wakeup import Hint, SubscriptionFilter
from schedora.domain.ids import IncarnationId
from tests.builders import an_incarnation
from tests.contract.listener import EVERYTHING
from tests.programs import PATIENCE_SECONDS
from tests.redis.available_workers import LONG_SECONDS, Passing
from tests.redis.cluster import RedisCluster
from tests.redis.reaching import impatience, reaching, until_up
from tests.redis.sentinels import Watched
from tests.redis.servers import RedisServer

pytestmark = pytest.mark.usefixtures("unhurried_hints")

ANYTHING = Hint()
MAIL = Hint(queues=frozenset({"mail"}))


class Quiet:
    """A subscription to hints that never come."""

    healthy = True

    def attend(self, *, owner: IncarnationId | None, idle: bool, room: int = 0) -> None: ...

    def pass_on(self) -> None: ...

    def hears(self, owner: IncarnationId) -> bool:
        return False


@define
class Otherwise:
    """Notes what Redis could not tell."""

    notified: list[tuple[set[str], set[IncarnationId]]] = field(factory=list)
    _changed: asyncio.Event = field(factory=asyncio.Event)

    def notify(
        self,
        *,
        queues: Collection[str] = (),
        owners: Collection[IncarnationId] = (),
        later: bool = False,
        more_work: bool = False,
    ) -> None:
        self.notified.append((set(queues), set(owners)))
        self._changed.set()

    @contextmanager
    def within(self, *, queues: Collection[str], later: bool = False) -> Iterator[str | None]:
        yield "otherwise"

    @asynccontextmanager
    async def subscribe(
        self, on_hint: Callable[[Hint], None], subscription_filter: SubscriptionFilter
    ) -> AsyncIterator[Quiet]:
        yield Quiet()

    async def next(self) -> tuple[set[str], set[IncarnationId]]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.notified:
                self._changed.clear()
                await self._changed.wait()
        return self.notified.pop(0)


@define
class Worker:
    """Who hears hints, one after the other, and has a link of its own."""

    subscription: RedisSubscription
    heard: asyncio.Queue[Hint]

    def attend(self, *, idle: bool, owner: IncarnationId | None = None) -> None:
        self.subscription.attend(owner=owner, idle=idle)

    async def next(self) -> Hint:
        return await asyncio.wait_for(self.heard.get(), PATIENCE_SECONDS)

    async def told(self) -> Hint:
        """What is heard next that tells of something."""
        while (hint := await self.next()) == ANYTHING:
            pass
        return hint

    async def waits(self, *, for_tokens: bool = True) -> None:
        """Until it waits for tokens, or for what comes into its inbox alone."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.subscription._awaits_tokens is not for_tokens or not self.subscription.healthy:
                await asyncio.sleep(0.002)  # nothing else tells

    async def turns_away(self) -> None:
        """From tokens, at once instead of with the next announcement."""
        self.attend(idle=False)
        self.subscription._announce_now.set()
        await self.waits(for_tokens=False)

    async def healthy(self, is_so: bool) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.subscription.healthy is not is_so:
                await asyncio.sleep(0.002)  # nothing else tells


@define
class Office:
    """Processes over one Redis."""

    url: str
    otherwise: Otherwise
    stack: AsyncExitStack
    link: RedisLink
    wakeup: RedisWakeup

    async def worker(
        self, *queues: str, types: tuple[str, ...] = (), idle: bool = True, owner: IncarnationId | None = None
    ) -> Worker:
        return await self.stack.enter_async_context(
            self.working(*queues, types=types, idle=idle, owner=owner)
        )

    @asynccontextmanager
    async def working(
        self, *queues: str, types: tuple[str, ...] = (), idle: bool = True, owner: IncarnationId | None = None
    ) -> AsyncIterator[Worker]:
        heard: asyncio.Queue[Hint] = asyncio.Queue()
        async with a_patient_link(self.url) as link:
            wakeup = RedisWakeup(link, otherwise=self.otherwise, unit_random=lambda: 0.5)
            async with wakeup.subscribe(
                heard.put_nowait, SubscriptionFilter(queues=queues, types=types)
            ) as subscription:
                worker = Worker(subscription, heard)
                worker.attend(idle=idle, owner=owner)
                await worker.waits(for_tokens=idle)
                yield worker

    async def notify(
        self, *queues: str, owners: Collection[IncarnationId] = (), more_work: bool = False
    ) -> None:
        """Returns once Redis has answered."""
        self.wakeup.notify(queues=queues, owners=owners, more_work=more_work)
        await self.wakeup._notify_coalescer.finish()
        await self.wakeup._notify_coalescer_of_enough.finish()

    async def length(self, subscription_filter: SubscriptionFilter = EVERYTHING) -> int:
        """How many tokens nobody has taken yet."""
        found: int = await self.link.call(
            "LLEN", self.link.keys.tokens(wakeup_module._kind(subscription_filter))
        )
        return found


def a_patient_link(url: str) -> AbstractAsyncContextManager[RedisLink]:
    return reaching(url, unit_random=lambda: 0.5)


@asynccontextmanager
async def an_office(url: str) -> AsyncIterator[Office]:
    otherwise = Otherwise()
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(a_patient_link(url))
        wakeup = RedisWakeup(link, otherwise=otherwise, unit_random=lambda: 0.5)
        yield Office(url, otherwise, stack, link, wakeup)


@pytest.fixture
async def office(redis_server: RedisServer) -> AsyncIterator[Office]:
    async with an_office(redis_server.url) as office:
        yield office


@pytest.fixture
async def passing() -> Passing:
    return Passing(asyncio.get_running_loop())


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is asked each time, unless a test is about when it is not."""
    for name in ("_NOBODY_SECONDS", "_ENOUGH_SECONDS"):
        monkeypatch.setattr(wakeup_module, name, 0)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers announce themselves again at once."""
    monkeypatch.setattr(wakeup_module, "_ANNOUNCE_SECONDS", 0.02)


async def test_of_many_idle_workers_one_is_woken(office: Office) -> None:
    workers = [await office.worker() for _ in range(4)]
    for _ in range(8):
        await office.notify("mail")
        [(hint, _)] = await heard_by_anybody(workers)
        assert hint == MAIL
    assert all(worker.heard.empty() for worker in workers)
    assert await office.length() == 0
    assert office.otherwise.notified == []


async def heard_by_anybody(workers: list[Worker]) -> list[tuple[Hint, Worker]]:
    """What is heard first, and by whom; until they wait again."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while all(worker.heard.empty() for worker in workers):
            await asyncio.sleep(0.002)
    for worker in workers:
        await worker.waits()
    return [(worker.heard.get_nowait(), worker) for worker in workers if not worker.heard.empty()]


async def test_busy_worker_takes_no_token(office: Office) -> None:
    busy, idle = await office.worker(idle=False), await office.worker()
    for _ in range(5):
        await office.notify("mail")
        assert await idle.next() == MAIL
    assert busy.heard.empty()


async def test_worker_that_became_busy_as_a_token_came_passes_it_on(office: Office) -> None:
    first, second = await office.worker(), await office.worker()
    first.attend(idle=False)  # and it has waited for longer
    await office.notify("mail")
    assert await second.next() == MAIL
    assert first.heard.empty()


async def test_token_waits_for_the_first_who_is_idle(office: Office) -> None:
    busy = [await office.worker(idle=False) for _ in range(3)]
    await office.notify("mail")
    assert await office.length() == 1
    busy[1].attend(idle=True)
    assert await busy[1].next() == MAIL
    assert await office.length() == 0


async def test_what_one_passes_on_another_hears(office: Office) -> None:
    first, second = await office.worker("mail"), await office.worker("mail")
    first.attend(idle=False)
    first.subscription.pass_on()
    assert MAIL.queues <= (await second.next()).queues
    assert first.heard.empty()


async def test_more_work_wakes_two(office: Office) -> None:
    workers = [await office.worker() for _ in range(4)]
    await office.notify("mail", more_work=True)
    woken = await heard_by_anybody(workers)
    while len(woken) < 2:
        woken += await heard_by_anybody(workers)
    assert len(woken) == 2
    assert all(worker.heard.empty() for worker in workers)


async def test_tokens_do_not_pile_up_and_go_away_by_themselves(office: Office) -> None:
    await office.worker(idle=False)
    for _ in range(20):
        await office.notify("mail", more_work=True)
    assert await office.length() == wakeup_module._TOKENS_ENOUGH
    tokens = office.link.keys.tokens(wakeup_module._kind(EVERYTHING))
    assert 0 < await office.link.call("PTTL", tokens) <= wakeup_module._LIFETIME_MS
    for key in await office.link.call("KEYS", "*"):
        assert await office.link.call("PTTL", key) > 0, key


async def test_each_kind_that_serves_the_queue_gets_a_token(office: Office) -> None:
    senders = await office.worker("mail", types=("send",))
    readers = await office.worker("mail", types=("read",))
    everybody = await office.worker(types=("send",))
    others = await office.worker("bills", types=("send",))
    await office.notify("mail")
    for worker in (senders, readers, everybody):
        assert "mail" in (await worker.next()).queues
    await office.notify("bills")
    assert "bills" in (await others.next()).queues
    assert senders.heard.empty()
    assert readers.heard.empty()


async def test_several_queues_at_one_moment_are_one_token_for_whoever_serves_them_all(office: Office) -> None:
    both = await office.worker("mail", "bills", idle=False)
    await office.notify("mail", "bills")
    assert await office.length(SubscriptionFilter(queues=("mail", "bills"))) == 1
    both.attend(idle=True)
    assert (await both.next()).queues == {"mail", "bills"}


async def test_whom_nobody_hears_is_told_otherwise(office: Office) -> None:
    mine, foreign = an_incarnation(), an_incarnation()
    await office.notify("mail", owners=[mine])
    assert await office.otherwise.next() == ({"mail"}, {mine})
    worker = await office.worker("mail", owner=mine, idle=False)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await office.link.call("EXISTS", office.link.keys.listener(mine)):
            await asyncio.sleep(0.002)
    await office.notify("mail", "bills", owners=[mine, foreign])
    assert await office.otherwise.next() == ({"bills"}, {foreign})
    assert await worker.next() == Hint(owners=frozenset({mine}))


@pytest.mark.parametrize("said", [b"", b"nobody", b"\xff\xfe"])
async def test_whatever_others_put_into_an_inbox_may_mean_anything(office: Office, said: bytes) -> None:
    owner = an_incarnation()
    worker = await office.worker(owner=owner)
    await office.link.call("RPUSH", worker.subscription._inbox, said)
    assert await worker.next() == ANYTHING
    await office.notify("mail", owners=[owner])
    assert {await worker.next(), await worker.next()} == {MAIL, Hint(owners=frozenset({owner}))}


async def test_token_that_cannot_be_read_is_one(office: Office) -> None:
    worker = await office.worker("mail")
    await office.link.call("RPUSH", worker.subscription._tokens, b"\xff\xfe")
    assert "mail" in (await worker.next()).queues
    await office.notify("mail")
    assert await worker.next() == MAIL


async def test_queue_that_nobody_serves_is_told_of_otherwise_without_asking_for_a_while(
    office: Office, passing: Passing
) -> None:
    lately = office.wakeup._nobody = wakeup_module._Lately(LONG_SECONDS)
    await office.notify("mail")
    assert await office.otherwise.next() == ({"mail"}, set())
    async with office.working("mail", "bills") as worker:
        office.wakeup.notify(queues=["mail"])
        assert office.otherwise.notified.pop() == ({"mail"}, set()), (
            "at once, and whoever has come hears it there"
        )
        with office.wakeup.within(queues=["mail"]) as hint:
            assert hint == "otherwise"
        with office.wakeup.within(queues=["mail", "bills"]) as hint:
            assert hint is None, "of one of these nothing is known"
        owner = an_incarnation()
        await office.notify("mail", owners=[owner])
        assert await office.otherwise.next() == (set(), {owner}), "asked for the owner, it is known better"
        assert not lately.all(["mail"], asyncio.get_running_loop().time())
        assert (await worker.told()).queues == {"mail", "bills"}

        await office.notify("others")
        assert await office.otherwise.next() == ({"others"}, set())
        passing.let(LONG_SECONDS)
        with office.wakeup.within(queues=["others"]) as hint:
            assert hint is None


async def test_those_who_have_enough_tokens_are_told_of_more_more_rarely(
    office: Office, passing: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    lately = office.wakeup._enough = wakeup_module._Lately(LONG_SECONDS)
    office.wakeup._notify_coalescer_of_enough._merge_seconds = LONG_SECONDS

    def known(queue: str) -> bool:
        return lately.all([queue], asyncio.get_running_loop().time())

    busy = await office.worker("mail", idle=False)
    idle = await office.worker("bills")
    for _ in range(wakeup_module._TOKENS_ENOUGH):
        await office.notify("mail")
        assert not known("mail")
    await office.notify("mail")
    assert known("mail")
    await office.notify("mail")
    office.wakeup.notify(queues=["mail"])
    assert office.wakeup._notify_coalescer_of_enough._next is not None, "it waits"
    office.wakeup.notify(queues=["mail", "bills"])
    assert "bills" in (await idle.told()).queues, "others do not wait for it"
    busy.attend(idle=True)
    for _ in range(wakeup_module._TOKENS_ENOUGH):
        await busy.told()
    passing.let(LONG_SECONDS)
    await busy.told()
    assert not known("mail"), "they had not"


async def test_what_is_known_of_queues_has_a_bound(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeup_module, "_QUEUES_MAX", 4)
    office.wakeup._nobody = wakeup_module._Lately(LONG_SECONDS)
    for n in range(20):
        await office.notify(f"queue-{n}")
        assert await office.otherwise.next() == ({f"queue-{n}"}, set())
        assert len(office.wakeup._nobody._until) <= 5


async def test_kind_of_which_nobody_is_left_is_not_counted_on(office: Office) -> None:
    staying = await office.worker("bills")
    async with office.working("mail"):
        pass
    kinds, kind = office.link.keys.kinds("mail"), wakeup_module._kind(SubscriptionFilter(queues=("mail",)))
    assert 0 < await office.link.call("PTTL", kinds) <= wakeup_module._SILENCE_MS
    assert await office.link.call("ZADD", kinds, "XX", "CH", 1, kind) == 1  # as long ago as can be
    await office.notify("mail", "bills")
    assert await office.otherwise.next() == ({"mail"}, set())
    assert await staying.next() == Hint(queues=frozenset({"bills"}))


async def test_who_leaves_takes_no_token_along(office: Office) -> None:
    staying = await office.worker(idle=False)
    for _ in range(5):
        async with office.working():
            pass
        await office.notify("mail")
        assert await office.length() == 1
        staying.attend(idle=True)
        assert await staying.next() == MAIL
        await staying.turns_away()


async def test_what_was_notified_before_the_end_is_still_sent(
    redis_server: RedisServer, office: Office
) -> None:
    worker = await office.worker()
    async with a_patient_link(redis_server.url) as closing:
        wakeup = RedisWakeup(closing, otherwise=office.otherwise, unit_random=lambda: 0.5)
        wakeup.notify(queues=["first"])
        wakeup.notify(queues=["mail"])
    assert {*(await worker.next()).queues, *(await worker.next()).queues} == {"first", "mail"}


@pytest.mark.usefixtures("soon")
async def test_emptied_server_tells_otherwise_until_workers_have_said_that_they_are_there(
    redis_server: RedisServer, office: Office
) -> None:
    owner = an_incarnation()
    worker = await office.worker(owner=owner)
    while not worker.heard.empty():
        worker.heard.get_nowait()
    redis_server.empty()
    assert await worker.next() == ANYTHING, "what was on its way is gone"
    await worker.waits()
    await office.notify("mail", owners=[owner])
    assert {await worker.next(), await worker.next()} == {MAIL, Hint(owners=frozenset({owner}))}
    assert worker.subscription.healthy


async def test_killed_server_is_noticed_at_once_and_done_without(
    redis_server: RedisServer, office: Office
) -> None:
    worker = await office.worker()
    redis_server.kill()
    assert await worker.next() == ANYTHING, "it looks, and then often"
    assert not worker.subscription.healthy
    await office.notify("mail")
    assert await office.otherwise.next() == ({"mail"}, set())
    with office.wakeup.within(queues=["mail"]) as hint:
        assert hint == "otherwise"
    office.wakeup.notify(queues=["bills"])
    assert await office.otherwise.next() == ({"bills"}, set())

    redis_server.start()
    assert await worker.next() == ANYTHING, "what was told meanwhile is not known"
    await worker.waits()
    await until_up(office.link)
    with office.wakeup.within(queues=["mail"]) as hint:
        assert hint is None
    await office.notify("mail")
    assert await worker.next() == MAIL


async def test_frozen_server_holds_no_hint_up(
    redis_server: RedisServer, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await office.worker()
    redis_server.freeze()
    monkeypatch.setattr(wakeup_module, "_SLOW_SECONDS", 0.05)
    try:
        office.wakeup.notify(queues=["mail"])
        assert await office.otherwise.next() == ({"mail"}, set())
    finally:
        redis_server.thaw()
    assert await worker.next() == MAIL, "told twice"
    assert office.otherwise.notified == []


@pytest.mark.usefixtures("soon")
async def test_worker_whose_own_way_is_frozen_knows_it(redis_server: RedisServer, office: Office) -> None:
    worker = await office.worker()
    redis_server.freeze()
    with impatience(worker.subscription._link):
        await worker.healthy(False)
    redis_server.thaw()
    await worker.waits()
    await until_up(office.link)
    await office.notify("mail")
    assert await worker.told() == MAIL


@pytest.mark.usefixtures("soon")
async def test_hints_that_do_not_arrive_though_redis_is_there_are_noticed(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker = await office.worker()
    received: Callable[..., Any] = RedisSubscription._received
    monkeypatch.setattr(wakeup_module, "_PROBE_SECONDS", 0.02)
    monkeypatch.setattr(RedisSubscription, "_received", lambda *_: None)
    with caplog.at_level(logging.WARNING):
        await worker.healthy(False)
    monkeypatch.setattr(RedisSubscription, "_received", received)
    monkeypatch.setattr(wakeup_module, "_PROBE_SECONDS", PATIENCE_SECONDS)
    await worker.healthy(True)


async def test_tokens_go_through_a_cluster(cluster: RedisCluster) -> None:
    async with an_office(cluster.url) as office:
        owner = an_incarnation()
        worker = await office.worker("mail", owner=owner)
        await office.notify("mail", "bills")
        assert await worker.told() == MAIL
        assert await office.otherwise.next() == ({"bills"}, set())


async def test_tokens_go_through_the_new_master_after_a_failover(tmp_path: Path) -> None:
    with Watched(tmp_path) as watched:
        async with an_office(watched.url) as office:
            worker = await office.worker()
            await office.notify("mail")
            assert await worker.told() == MAIL
            watched.master.kill()
            await worker.healthy(False)
            await office.notify("mail")
            assert await office.otherwise.next() == ({"mail"}, set())
            await worker.waits()
            await until_up(office.link)
            await office.notify("mail")
            assert await worker.told() == MAIL
