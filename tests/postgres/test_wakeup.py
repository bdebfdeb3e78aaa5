"""Hints over LISTEN and NOTIFY: with callers' commits, and when connections come and go."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import timedelta
from urllib.parse import urlsplit

import asyncpg
import psycopg
import pytest
from attrs import define, field
from psycopg.sql import SQL, Identifier

from schedora import Schedora
from schedora.adapters.postgres import wakeup as wakeup_module
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.job_writer import PostgresJobWriter
from schedora.adapters.postgres.statements import Statement
from schedora.adapters.postgres.wakeup import PostgresWakeup, decoded, encoded
from schedora.application.errors import LeaseLost
from schedora.application.pipeline.complete import CompleteJobs
from schedora.application.ports.wakeup import Hint, Subscription
from schedora.application.ports.workflows import CountChange
from schedora.domain.ids import IncarnationId
from schedora.domain.outcome import Succeeded
from tests.builders import a_new_job, a_request, an_incarnation
from tests.contract.listener import EVERYTHING, PATIENCE_SECONDS, Listener
from tests.contract.postgres import postgres_stores
from tests.contract.stores import Stores
from tests.postgres.connections import ASYNC, SYNC

ANYTHING = Hint()


class Abandoned(Exception):
    """What makes a caller's transaction roll back."""


@define
class Hints:
    """One after the other."""

    _heard: asyncio.Queue[Hint] = field(factory=asyncio.Queue)

    def __call__(self, hint: Hint) -> None:
        self._heard.put_nowait(hint)

    async def next(self) -> Hint:
        return await asyncio.wait_for(self._heard.get(), PATIENCE_SECONDS)


@pytest.fixture
def stores(database: Database) -> Stores:
    return postgres_stores(database)


@pytest.fixture
async def app(migrated_url: str) -> AsyncIterator[Schedora]:
    async with Schedora(database_url=migrated_url) as app:
        yield app


@pytest.fixture
def wakeup(database: Database) -> PostgresWakeup:
    """Loses no time with what it does when nothing works."""
    return PostgresWakeup(database, unit_random=lambda: 0.0)


async def until(subscription: Subscription, *, healthy: bool) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while subscription.healthy != healthy:
            await asyncio.sleep(0.005)  # nothing else tells


@pytest.fixture
def outage(migrated_url: str, postgres_server_url: str) -> Iterator[Callable[[bool], None]]:
    """Takes the database away, with all connections to it, and gives it back."""
    name = urlsplit(migrated_url).path.strip("/")
    with psycopg.connect(postgres_server_url, autocommit=True) as connection:

        def switch(away: bool) -> None:
            allow = SQL("alter database {} with allow_connections {}")
            connection.execute(allow.format(Identifier(name), SQL("false" if away else "true")))
            if away:
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name]
                )

        yield switch
        switch(False)


def kill_listener(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        killed = connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and query like 'LISTEN%'"
        ).fetchall()
    assert killed == [(True,)]


async def hears_nothing_of(listener: Listener, stores: Stores, queue: str) -> None:
    """What is rung now arrives after all that was rung before."""
    stores.wakeup.notify(queues=["now"])
    await listener.until(lambda heard: "now" in heard.queues)
    assert queue not in listener.heard.queues


@pytest.mark.parametrize("transaction", ASYNC)
async def test_a_submission_is_told_with_its_callers_commit(
    app: Schedora,
    stores: Stores,
    migrated_url: str,
    transaction: Callable[[str], AbstractAsyncContextManager[object]],
) -> None:
    listener = Listener()
    async with stores.wakeup.subscribe(listener, EVERYTHING):
        async with transaction(migrated_url) as connection:
            await app.submit("echo", queue="mail", connection=connection)
            await hears_nothing_of(listener, stores, "mail")
        await listener.until(lambda heard: "mail" in heard.queues)


@pytest.mark.parametrize("transaction", SYNC)
async def test_a_synchronous_submission_is_told_with_its_callers_commit(
    app: Schedora,
    stores: Stores,
    migrated_url: str,
    transaction: Callable[[str], AbstractContextManager[object]],
) -> None:
    listener = Listener()
    async with stores.wakeup.subscribe(listener, EVERYTHING):
        with transaction(migrated_url) as connection:
            app.submit_sync("echo", queue="mail", connection=connection)
            await hears_nothing_of(listener, stores, "mail")
        await listener.until(lambda heard: "mail" in heard.queues)


@pytest.mark.parametrize("transaction", ASYNC)
async def test_a_submission_rolled_back_is_told_to_nobody(
    app: Schedora,
    stores: Stores,
    migrated_url: str,
    transaction: Callable[[str], AbstractAsyncContextManager[object]],
) -> None:
    async def submit_in_vain() -> None:
        async with transaction(migrated_url) as connection:
            await app.submit("echo", queue="mail", connection=connection)
            raise Abandoned

    listener = Listener()
    async with stores.wakeup.subscribe(listener, EVERYTHING):
        with pytest.raises(Abandoned):
            await submit_in_vain()
        await hears_nothing_of(listener, stores, "mail")


async def test_a_workflow_is_told_with_its_callers_commit_by_its_first_steps(
    app: Schedora, stores: Stores, migrated_url: str
) -> None:
    flow = app.workflow("order-42")
    first = flow.add(app.prepare("echo", queue="first"), key="first")
    flow.add(app.prepare("echo", queue="second"), key="second", after=[first])
    listener = Listener()
    async with stores.wakeup.subscribe(listener, EVERYTHING):
        with psycopg.connect(migrated_url) as connection:
            flow.submit_sync(connection=connection)
            await hears_nothing_of(listener, stores, "first")
        await listener.until(lambda heard: "first" in heard.queues)
        await hears_nothing_of(listener, stores, "second")


@pytest.mark.parametrize("commits", [True, False])
async def test_what_a_handlers_transaction_releases_is_told_with_its_commit(
    stores: Stores, commits: bool
) -> None:
    workflow_id = await stores.workflow()
    cause = await stores.submit_one(a_request(workflow_id=workflow_id))
    await stores.submit_one(
        a_request(workflow_id=workflow_id, queue="effects", depends_on=(cause.job_id,)), waits_for=1
    )
    async with stores.units.begin() as unit:
        await unit.workflows.count([CountChange(workflow_id=workflow_id, total=2)], at=await unit.now())
    [claimed] = await stores.claim(await stores.worker())
    complete = CompleteJobs(units=stores.units, wakeup=stores.wakeup)
    completion = await stores.settle(claimed, Succeeded())

    async def handle() -> None:
        async with stores.callers_transaction() as connection:
            assert await complete.within(connection, completion) == {"effects"}
            await hears_nothing_of(listener, stores, "effects")
            if not commits:
                raise Abandoned

    listener = Listener()
    async with stores.wakeup.subscribe(listener, EVERYTHING):
        if commits:
            await handle()
            await listener.until(lambda heard: "effects" in heard.queues)
        else:
            with pytest.raises(Abandoned):
                await handle()
            await hears_nothing_of(listener, stores, "effects")
    if commits:
        async with stores.callers_transaction() as connection:
            with pytest.raises(LeaseLost):
                await complete.within(connection, completion)


async def test_a_listener_that_was_killed_listens_again_and_says_that_it_may_have_missed_something(
    wakeup: PostgresWakeup, stores: Stores, migrated_url: str
) -> None:
    hints = Hints()
    async with wakeup.subscribe(hints, EVERYTHING) as subscription:
        await until(subscription, healthy=True)
        kill_listener(migrated_url)
        assert await hints.next() == ANYTHING, "it may be deaf"
        assert await hints.next() == ANYTHING, "it hears again, and what was told meanwhile is not known"
        stores.wakeup.notify(queues=["a"])
        assert await hints.next() == Hint(queues=frozenset({"a"}), shared=True)
        await until(subscription, healthy=True)


async def test_a_subscription_is_not_healthy_while_it_cannot_listen(
    wakeup: PostgresWakeup,
    stores: Stores,
    outage: Callable[[bool], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    hints = Hints()
    async with wakeup.subscribe(hints, EVERYTHING) as subscription:
        await until(subscription, healthy=True)
        outage(True)
        await until(subscription, healthy=False)
        assert await hints.next() == ANYTHING
        stores.wakeup.notify(queues=["lost"])
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "a hint was lost" not in caplog.text:
                await asyncio.sleep(0.005)  # nothing else tells
        outage(False)
        assert await hints.next() == ANYTHING
        await until(subscription, healthy=True)
        outage(True)
        await until(subscription, healthy=False)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2, "once for each outage"
    assert all("hints are off" in warning.getMessage() for warning in warnings)


async def test_a_subscription_begins_though_the_database_is_away(
    wakeup: PostgresWakeup, outage: Callable[[bool], None]
) -> None:
    outage(True)
    hints = Hints()
    async with wakeup.subscribe(hints, EVERYTHING) as subscription:
        assert not subscription.healthy
        outage(False)
        assert await hints.next() == ANYTHING, "of what was before it listened it knows nothing"
        await until(subscription, healthy=True)


async def test_a_subscription_that_hears_nothing_of_itself_is_not_healthy(
    wakeup: PostgresWakeup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As behind a pooler in transaction mode."""
    monkeypatch.setattr(wakeup_module, "_PROBE_TIMEOUT_SECONDS", 0.01)
    monkeypatch.setattr(wakeup_module._Probe, "receive", lambda *_: None)
    hints = Hints()
    async with wakeup.subscribe(hints, EVERYTHING) as subscription:
        assert await hints.next() == ANYTHING  # it tries again
        assert not subscription.healthy
    assert "does not arrive" in caplog.text


async def test_one_that_ceases_to_hear_says_so_before_it_tries_again(
    wakeup: PostgresWakeup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is there, and what is sent over it does not arrive."""

    async def in_vain(_probe: wakeup_module._Probe) -> bool:
        return False

    hints = Hints()
    monkeypatch.setattr(wakeup_module, "_PROBE_INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(wakeup_module, "_BACKOFF_MIN_SECONDS", 10 * PATIENCE_SECONDS)
    monkeypatch.setattr(wakeup_module, "_BACKOFF_MAX_SECONDS", 10 * PATIENCE_SECONDS)
    async with wakeup.subscribe(hints, EVERYTHING) as subscription:
        await until(subscription, healthy=True)
        monkeypatch.setattr(wakeup_module._Probe, "arrives", in_vain)
        assert await hints.next() == ANYTHING
        assert not subscription.healthy


async def test_one_that_the_server_refuses_for_whatever_reason_tries_again(
    wakeup: PostgresWakeup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where some session of whoever's has let the queue of notifications fill up."""
    arrives = wakeup_module._Probe.arrives

    async def refused(_probe: wakeup_module._Probe) -> bool:
        raise asyncpg.ProgramLimitExceededError("too many notifications in the NOTIFY queue")

    hints = Hints()
    monkeypatch.setattr(wakeup_module, "_PROBE_INTERVAL_SECONDS", 0.01)
    async with wakeup.subscribe(hints, EVERYTHING) as subscription:
        await until(subscription, healthy=True)
        monkeypatch.setattr(wakeup_module._Probe, "arrives", refused)
        await until(subscription, healthy=False)
        assert await hints.next() == ANYTHING
        monkeypatch.setattr(wakeup_module._Probe, "arrives", arrives)
        await until(subscription, healthy=True)


async def test_who_is_canceled_as_he_leaves_is_canceled(wakeup: PostgresWakeup) -> None:
    inside, leave = asyncio.Event(), asyncio.Event()

    async def subscribe() -> None:
        async with wakeup.subscribe(Hints(), EVERYTHING):
            inside.set()
            await leave.wait()

    subscribing = asyncio.create_task(subscribe())
    await asyncio.wait_for(inside.wait(), PATIENCE_SECONDS)
    leave.set()
    await asyncio.sleep(0)  # it waits for its listening to end
    subscribing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await subscribing


async def test_a_subscription_asks_now_and_then_whether_hints_still_arrive(
    wakeup: PostgresWakeup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeup_module, "_PROBE_INTERVAL_SECONDS", 0.01)
    asked = asyncio.Event()
    count = 0
    arrives = wakeup_module._Probe.arrives

    async def counted(probe: wakeup_module._Probe) -> bool:
        nonlocal count
        count += 1
        if count == 3:
            asked.set()
        return await arrives(probe)

    monkeypatch.setattr(wakeup_module._Probe, "arrives", counted)
    async with wakeup.subscribe(Hints(), EVERYTHING) as subscription:
        await asyncio.wait_for(asked.wait(), PATIENCE_SECONDS)
        await until(subscription, healthy=True)


@pytest.mark.parametrize("turns", range(4))
async def test_leaving_at_the_moment_of_news_is_leaving(turns: int) -> None:
    news = asyncio.Event()
    waiting = asyncio.create_task(wakeup_module._within(PATIENCE_SECONDS, news))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    news.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    if waiting.cancel():
        with pytest.raises(asyncio.CancelledError):
            await waiting
    else:
        assert await waiting


async def test_what_was_notified_before_the_end_is_still_sent(stores: Stores, migrated_url: str) -> None:
    listener = Listener()
    async with stores.wakeup.subscribe(listener, EVERYTHING):
        async with Database(migrated_url) as closing:
            PostgresWakeup(closing).notify(queues=["last"])
        await listener.until(lambda heard: "last" in heard.queues)


async def test_a_hint_that_nobody_can_be_told_is_lost_without_a_word(
    migrated_url: str, outage: Callable[[bool], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    PostgresWakeup(Database(migrated_url)).notify(queues=["a"])  # nothing is open yet
    async with Database(migrated_url, command_timeout=timedelta(seconds=1)) as database:
        outage(True)
        PostgresWakeup(database).notify(queues=["a"])
    lost = [record for record in caplog.records if "a hint was lost" in record.getMessage()]
    assert [record.levelno for record in lost] == [logging.DEBUG]


async def test_a_hint_that_the_server_refuses_is_lost_and_keeps_nothing_from_its_end(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    too_long = Statement("select pg_notify($1, $2 || repeat('x', 8000))", ("channel", "payload"))
    monkeypatch.setattr(wakeup_module, "NOTIFY", too_long)
    async with Database(migrated_url) as closing:
        PostgresWakeup(closing).notify(queues=["a"])
    assert closing._pool is None
    assert "a hint was lost: payload string too long" in caplog.text


def test_what_is_too_much_for_one_hint_may_mean_anything() -> None:
    few = Hint(queues=frozenset({"a"}), owners=frozenset({an_incarnation()}))
    assert decoded(encoded(few)) == few
    many = Hint(queues=frozenset(f"queue {n}" for n in range(1_000)))
    assert decoded(encoded(many)) == ANYTHING


@pytest.mark.parametrize("said", ["", "hello", "[]", "1", '{"owners": ["x"]}', '{"queues": 1}', "\x00"])
def test_whatever_others_say_on_the_channel_may_mean_anything(said: str) -> None:
    assert decoded(said) == ANYTHING


class Unrung(PostgresWakeup):
    """Notes what is rung for instead of sending it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.notified: list[set[str]] = []

    def notify(
        self,
        *,
        queues: Collection[str] = (),
        owners: Collection[IncarnationId] = (),
        later: bool = False,
        more_work: bool = False,
    ) -> None:
        assert not owners
        if queues:
            self.notified.append(set(queues))


async def test_the_hint_of_a_single_job_comes_with_its_commit(database: Database) -> None:
    hints, unrung = Hints(), Unrung(database)
    job_writer = PostgresJobWriter(database, unrung)
    async with PostgresWakeup(database).subscribe(hints, EVERYTHING):
        await job_writer.add([a_new_job(a_request(queue="mail"))])
        assert await hints.next() == Hint(queues=frozenset({"mail"}), shared=True)
    assert unrung.notified == []


async def test_several_jobs_are_notified_for_after_their_commit(database: Database) -> None:
    unrung = Unrung(database)
    await PostgresJobWriter(database, unrung).add([a_new_job(a_request(queue=queue)) for queue in "ab"])
    assert unrung.notified == [{"a", "b"}]


async def test_a_job_that_was_there_before_is_not_hinted_at(database: Database) -> None:
    hints, unrung = Hints(), Unrung(database)
    job_writer = PostgresJobWriter(database, unrung)
    await job_writer.add([a_new_job(a_request(idempotency_key="taken"))])
    unrung._notify_coalescer._send_at = unrung._duty_cycle_limiter._next_at = 0.0
    async with PostgresWakeup(database).subscribe(hints, EVERYTHING):
        await job_writer.add([a_new_job(a_request(idempotency_key="taken"))])
        PostgresWakeup(database).notify(queues=["the next"])
        assert await hints.next() == Hint(queues=frozenset({"the next"}), shared=True)
    assert unrung.notified == []


async def test_hints_go_within_statements_as_rarely_as_those_are_slow(database: Database) -> None:
    now = 100.0
    wakeup = PostgresWakeup(database, monotonic_seconds=lambda: now)
    with wakeup.within(queues=["a"]) as hint:
        assert hint == encoded(Hint(queues=frozenset({"a"}), shared=True))
        with wakeup.within(queues=["b"]) as other:
            assert other is None, "one at a time"
        now += 0.5
    for span in (0.0, 4.9):
        now += span
        with wakeup.within(queues=["a"]) as hint:
            assert hint is None
    now += 0.2
    wakeup._notify_coalescer._send_at = 0.0  # the moment in which hints are merged has long passed
    with wakeup.within(queues=["a"]) as hint:
        assert hint is not None


async def test_what_is_about_to_be_notified_is_not_told_within_a_statement_too(database: Database) -> None:
    wakeup = PostgresWakeup(database)
    with wakeup.within(queues=[]) as hint:
        assert hint is None, "it would mean anything"
    wakeup.notify(queues=["a"])
    with wakeup.within(queues=["a"]) as hint:
        assert hint is None
