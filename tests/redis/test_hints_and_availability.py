"""A subscriber to hints makes offers for as long as it is told of what comes of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime

import pytest
from attrs import define, field

from schedora.adapters.redis import worker_availability as availability_module
from schedora.adapters.redis.wakeup import RedisSubscription, RedisWakeup
from schedora.adapters.redis.worker_availability import AvailabilityPublisher
from schedora.application.ports.wakeup import Hint, SubscriptionFilter
from schedora.domain.ids import IncarnationId
from tests.builders import a_claimed_job, an_incarnation
from tests.programs import PATIENCE_SECONDS
from tests.redis.available_workers import LONG_SECONDS, MAKE, NotedLink, a_noted_link, taken
from tests.redis.reaching import until_up
from tests.redis.servers import RedisServer

pytestmark = pytest.mark.usefixtures("unhurried_hints")

ANYTHING = Hint()
SENDERS = SubscriptionFilter(queues=("mail",), types=("send",))


@define
class Store:
    """The store's own hints: what is told is told at once, to the one who listens."""

    heard_owner: IncarnationId | None = None
    attended: list[tuple[IncarnationId | None, bool, int]] = field(factory=list)
    healthy: bool = True
    _on_hint: Callable[[Hint], None] = lambda _hint: None

    def tell(self, hint: Hint) -> None:
        self._on_hint(hint)

    def hears(self, owner: IncarnationId) -> bool:
        return owner == self.heard_owner

    def attend(self, *, owner: IncarnationId | None, idle: bool, room: int = 0) -> None:
        self.attended.append((owner, idle, room))

    def pass_on(self) -> None: ...

    def notify(
        self,
        *,
        queues: Collection[str] = (),
        owners: Collection[IncarnationId] = (),
        later: bool = False,
        more_work: bool = False,
    ) -> None: ...

    @contextmanager
    def within(self, *, queues: Collection[str], later: bool = False) -> Iterator[str | None]:
        yield None

    @asynccontextmanager
    async def subscribe(
        self, on_hint: Callable[[Hint], None], subscription_filter: SubscriptionFilter
    ) -> AsyncIterator["Store"]:
        assert subscription_filter == SENDERS
        self._on_hint = on_hint
        yield self


@define
class Subscriber:
    """A worker, as far as it listens and offers."""

    link: NotedLink
    store: Store
    subscription: RedisSubscription
    heard: list[Hint]
    owner: IncarnationId = field(factory=an_incarnation)

    def attend(self, *, room: int, idle: bool = True) -> None:
        self.subscription.attend(owner=self.owner, idle=idle, room=room)

    async def is_available(self, *, room: int) -> None:
        """Returns once it has, to whoever may hear of what comes of it."""
        made = self.link.answered.count(MAKE)
        self.store.heard_owner = self.owner
        self.attend(room=room)
        await self.link.until_answered(MAKE, made + 1)

    async def until(self, satisfied: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not satisfied():
                await asyncio.sleep(0.002)  # nothing else tells

    def matched(self) -> Hint:
        """What it is told of a job that was leased to it."""
        job = a_claimed_job(owner=self.owner, claimed_at=datetime.now(UTC))
        return Hint(owners=frozenset({self.owner}), matched=job)


@asynccontextmanager
async def a_subscriber(url: str) -> AsyncIterator[Subscriber]:
    heard: list[Hint] = []
    async with a_noted_link(url) as link:
        store = Store()
        wakeup = RedisWakeup(link, otherwise=store, unit_random=lambda: 0.5)
        async with wakeup.subscribe(heard.append, SENDERS) as subscription:
            subscriber = Subscriber(link, store, subscription, heard)
            await subscriber.until(lambda: subscription.healthy)
            yield subscriber


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for span in ("_PATIENCE_SECONDS", "_LEAVE_SECONDS"):
        monkeypatch.setattr(availability_module, span, PATIENCE_SECONDS)
    monkeypatch.setattr(availability_module, "_REPEAT_SECONDS", LONG_SECONDS)
    monkeypatch.setattr(availability_module, "_LIFE_MS", LONG_SECONDS * 1_000)


@pytest.fixture
async def link(redis_server: RedisServer) -> AsyncIterator[NotedLink]:
    """Of whoever submits."""
    async with a_noted_link(redis_server.url) as link:
        yield link


async def test_who_attends_offers_in_that_name_and_tells_the_store(
    redis_server: RedisServer, link: NotedLink
) -> None:
    async with a_subscriber(redis_server.url) as worker:
        await worker.is_available(room=4)
        assert worker.store.attended == [(worker.owner, True, 4)]
        assert [await taken(link) for _ in range(2)] == [worker.owner] * 2
        assert await taken(link, queue="bills") is None
        assert await taken(link, job_type="read") is None


async def test_busy_one_that_has_room_offers_it(redis_server: RedisServer, link: NotedLink) -> None:
    async with a_subscriber(redis_server.url) as worker:
        await worker.is_available(room=4)
        worker.attend(room=0, idle=False)
        await worker.link.until_answered(MAKE, 2)
        assert await taken(link) is None
        worker.attend(room=2, idle=False)
        await worker.link.until_answered(MAKE, 3)
        assert await taken(link) == worker.owner


async def test_nothing_is_offered_before_the_store_is_heard(
    redis_server: RedisServer, link: NotedLink
) -> None:
    async with a_subscriber(redis_server.url) as worker:
        worker.attend(room=4)
        worker.store.tell(Hint(queues=frozenset({"mail"})))  # which tells nothing of that
        assert await taken(link) is None
        assert MAKE not in worker.link.asked
        worker.store.heard_owner = worker.owner
        worker.store.tell(Hint(owners=frozenset({worker.owner})))  # as it does once it listens
        await worker.link.until_answered(MAKE, 1)
        assert await taken(link) == worker.owner


async def test_offers_go_when_the_store_is_heard_no_more(redis_server: RedisServer, link: NotedLink) -> None:
    async with a_subscriber(redis_server.url) as worker:
        await worker.is_available(room=4)
        worker.store.heard_owner = None
        worker.store.tell(ANYTHING)
        await worker.link.until_answered(MAKE, 2)
        assert await taken(link) is None


async def test_new_incarnation_offers_once_it_is_heard_in_its_name(
    redis_server: RedisServer, link: NotedLink
) -> None:
    async with a_subscriber(redis_server.url) as worker:
        await worker.is_available(room=4)
        worker.owner = an_incarnation()
        worker.attend(room=4)
        await worker.link.until_answered(MAKE, 2)
        assert await taken(link) is None, "the store tells the one before"
        worker.store.heard_owner = worker.owner
        worker.store.tell(Hint(owners=frozenset({worker.owner})))
        await worker.link.until_answered(MAKE, 3)
        assert await taken(link) == worker.owner


async def test_what_was_matched_is_passed_on_and_counts_as_heard(
    redis_server: RedisServer, link: NotedLink
) -> None:
    async with a_subscriber(redis_server.url) as worker:
        await worker.is_available(room=4)
        assert await taken(link) == worker.owner
        hint = worker.matched()
        worker.store.tell(hint)
        assert worker.heard[-1] is hint
        await worker.link.until_answered(MAKE, 2)  # half of two
        assert worker.heard[-1] is hint, "there is nothing to look for"


async def test_offers_are_made_anew_once_all_are_taken_whatever_comes_of_them(
    redis_server: RedisServer, link: NotedLink
) -> None:
    async with a_subscriber(redis_server.url) as worker:
        await worker.is_available(room=4)
        for times in (2, 3):
            assert [await taken(link) for _ in range(2)] == [worker.owner] * 2
            await worker.link.until_answered(MAKE, times)
        assert await taken(link) == worker.owner
        assert worker.heard == [], "it is too early to look for what came of them"


async def test_what_lies_in_the_inbox_is_kept_for_no_shorter_when_all_are_taken(
    redis_server: RedisServer, link: NotedLink
) -> None:
    """As while a handler keeps its worker from reading it."""
    async with a_noted_link(redis_server.url) as of_worker:
        publisher = AvailabilityPublisher(of_worker, SENDERS)
        publisher.update(owner := an_incarnation(), 2)
        making = asyncio.create_task(publisher.run(hears=lambda _: True, on_unheard=lambda: None))
        await of_worker.until_answered(MAKE, 1)
        inbox = link.keys.inbox(publisher.name)
        await link.call("RPUSH", inbox, "before")
        await link.call("PEXPIRE", inbox, 10 * LONG_SECONDS * 1_000)
        assert await taken(link) == owner
        assert await link.call("LRANGE", inbox, 0, -1) == [b"before", b"all-taken"]
        assert await link.call("PTTL", inbox) > 9 * LONG_SECONDS * 1_000
        await link.call("DEL", inbox)
        making.cancel()
        await asyncio.wait([making])


async def test_what_was_taken_and_not_heard_of_is_looked_for(
    redis_server: RedisServer, link: NotedLink
) -> None:
    async with a_subscriber(redis_server.url) as worker:
        await worker.is_available(room=4)
        assert await taken(link) == worker.owner
        before = len(worker.heard)
        worker.store.tell(ANYTHING)
        await worker.until(lambda: len(worker.heard) >= before + 2)
        assert worker.heard[before:] == [ANYTHING, Hint(owners=frozenset({worker.owner}))]


async def test_who_leaves_withdraws_what_it_offered(redis_server: RedisServer, link: NotedLink) -> None:
    async with a_subscriber(redis_server.url) as worker:
        await worker.is_available(room=4)
        assert redis_server.ask("KEYS", "*availab*")
    assert redis_server.ask("KEYS", "*availab*") == []
    assert await taken(link) is None


async def test_it_offers_again_once_redis_is_back(redis_server: RedisServer, link: NotedLink) -> None:
    async with a_subscriber(redis_server.url) as worker:
        await worker.is_available(room=4)
        redis_server.kill()
        await worker.until(lambda: not worker.subscription.healthy)
        made = worker.link.answered.count(MAKE)
        redis_server.start()
        await worker.link.until_answered(MAKE, made + 1)
        await until_up(link)
        assert await taken(link) == worker.owner


async def test_offers_that_redis_refuses_are_no_reason_to_hear_nothing(
    redis_server: RedisServer, link: NotedLink, caplog: pytest.LogCaptureFixture
) -> None:
    await link.call("SET", link.keys.available("mail"), "x", "PX", 60_000)
    async with a_subscriber(redis_server.url) as worker:
        await worker.is_available(room=4)
        assert "redis refuses a command" in caplog.text
        submitting = RedisWakeup(link, otherwise=Store(), unit_random=lambda: 0.5)
        submitting.notify(queues=["mail"])
        await worker.until(lambda: Hint(queues=frozenset({"mail"})) in worker.heard)
        assert worker.subscription.healthy
        await link.call("DEL", link.keys.available("mail"))
        await worker.is_available(room=0)
        await worker.is_available(room=4)
        assert await taken(link) == worker.owner
