"""Offers of idle workers: who makes them, who gets them, and what becomes of them when Redis goes away or forgets."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from schedora.adapters.redis import offers as offers_module
from schedora.adapters.redis.errors import RedisAway
from schedora.adapters.redis.offers import RedisOffers
from schedora.domain.ids import IncarnationId
from tests.builders import an_incarnation
from tests.programs import PATIENCE_SECONDS
from tests.redis.cluster import RedisCluster
from tests.redis.offering import (
    LONG_SECONDS,
    MAKE,
    TAKE,
    NotedLink,
    Passing,
    a_noted_link,
    an_offerer,
    taken,
)
from tests.redis.proxy import Behaviour, FaultProxy
from tests.redis.reaching import until_up
from tests.redis.sentinels import Watched
from tests.redis.servers import RedisServer

MERGE_SECONDS = offers_module._MERGE_SECONDS
PATTERNS = [
    "a.b",
    "%a+",
    "[mail]",
    "^mail$",
    "*",
    "?",
    "(",
    "%",
    "{x}",
    "a,b",
    ",",
    " ",
    "{schedora}:x",
    "ß→",
]
"""Names that mean something in a pattern of Lua's or Redis's, or between others."""


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is given up because the machine is busy, nor made again by itself."""
    monkeypatch.setattr(offers_module, "_PATIENCE_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(offers_module, "_REPEAT_SECONDS", LONG_SECONDS)
    monkeypatch.setattr(offers_module, "_LIFE_MS", LONG_SECONDS * 1_000)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offers are made again at once."""
    monkeypatch.setattr(offers_module, "_REPEAT_SECONDS", 0.01)


@pytest.fixture
async def passing() -> Passing:
    return Passing(asyncio.get_running_loop())


@pytest.fixture
async def link(redis_server: RedisServer) -> AsyncIterator[NotedLink]:
    """Of whoever submits."""
    async with a_noted_link(redis_server.url) as link:
        yield link


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[FaultProxy]:
    with FaultProxy(redis_server) as proxy:
        yield proxy


# Made


async def test_each_is_taken_once_and_no_more_than_were_made(
    redis_server: RedisServer, link: NotedLink
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=6) as offerer:
        given = await asyncio.gather(*(taken(link) for _ in range(8)))
        assert Counter(given) == {owner: 3, None: 5}, "half of its room"
        assert await offerer.left() == 0


async def test_of_very_much_room_a_part_is_offered(redis_server: RedisServer, link: NotedLink) -> None:
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=1_000) as offerer:
        assert await offerer.left() == offers_module._MAX


async def test_they_are_for_the_types_that_the_worker_knows(
    redis_server: RedisServer, link: NotedLink
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, types=("send", "read"), owner=owner, room=16):
        for unknown in ("sen", "end", "d", "sendread", "send,read", "", ".", "%a+", "s?nd"):
            assert await taken(link, job_type=unknown) is None, unknown
        assert await taken(link, job_type="send") == owner
        assert await taken(link, job_type="read") == owner


async def test_they_are_for_the_queues_that_the_worker_serves(
    redis_server: RedisServer, link: NotedLink
) -> None:
    named, everywhere = an_incarnation(), an_incarnation()
    async with an_offerer(redis_server.url, "mail", "bills", owner=named, room=4):
        for queue in ("mai", "*", "", "mail,bills", "others"):
            assert await taken(link, queue=queue) is None
        assert [await taken(link, queue=queue) for queue in ("mail", "bills", "mail")] == [named, named, None]
        async with an_offerer(redis_server.url, owner=everywhere, room=4):
            assert [await taken(link, queue=queue) for queue in ("mail", "*", "bills")] == [
                everywhere, everywhere, None,
            ]  # fmt: skip


@pytest.mark.parametrize("name", PATTERNS)
async def test_names_are_taken_by_the_letter(redis_server: RedisServer, link: NotedLink, name: str) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, name, types=("first", name, "last"), owner=owner, room=16):
        assert await taken(link, queue=name, job_type=name) == owner
        for other in {"mail", "a", "b", "x", *PATTERNS} - {name}:
            assert await taken(link, queue=other, job_type=name) is None
            assert await taken(link, queue=name, job_type=other) is None


@pytest.mark.parametrize(
    ("owner", "room", "deaf"),
    [
        pytest.param(None, 16, False, id="in nobody's name"),
        pytest.param(an_incarnation(), 0, False, id="without room"),
        pytest.param(an_incarnation(), 1, False, id="with one slot, which a claim may need"),
        pytest.param(an_incarnation(), 16, True, id="that hears nothing"),
    ],
)
@pytest.mark.usefixtures("often")
async def test_worker_makes_none(
    redis_server: RedisServer, link: NotedLink, owner: IncarnationId | None, room: int, deaf: bool
) -> None:
    async with an_offerer(redis_server.url, owner=owner, room=room, deaf=deaf) as offerer:
        offerer.offering.look()
        assert await taken(link) is None
        offerer.deaf = False
        offerer.offering.update(later := an_incarnation(), 16)
        await offerer.made(1)
        assert await taken(link) == later, "it would have"


async def test_they_go_when_there_is_no_room_any_more_and_come_back(
    redis_server: RedisServer, link: NotedLink
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=4) as offerer:
        offerer.offering.update(owner, 1)
        await offerer.made(2)
        assert await taken(link) is None
        assert redis_server.ask("KEYS", "*offer*") == []
        offerer.offering.update(owner, 4)
        await offerer.made(3)
        assert await taken(link) == owner


async def test_there_are_fewer_once_there_is_less_room_than_is_offered(redis_server: RedisServer) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=16) as offerer:
        assert await offerer.left() == 8
        offerer.offering.update(owner, 8)
        assert not offerer.offering._changed.is_set(), "what is offered has room yet"
        offerer.offering.update(owner, 7)
        await offerer.made(2)
        assert await offerer.left() == 3


async def test_they_go_when_the_worker_hears_no_more_and_come_back(
    redis_server: RedisServer, link: NotedLink
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=4) as offerer:
        offerer.deaf = True
        offerer.offering.look()
        await offerer.made(2)
        assert await taken(link) is None
        offerer.deaf = False
        offerer.offering.look()
        await offerer.made(3)
        assert await taken(link) == owner


async def test_who_leaves_takes_them_along(redis_server: RedisServer, link: NotedLink) -> None:
    async with an_offerer(redis_server.url, "mail", "bills", owner=an_incarnation(), room=4) as offerer:
        await offerer.offering.withdraw()
        assert await taken(link) is None
        assert redis_server.ask("KEYS", "*offer*") == []
        await offerer.offering.withdraw()
        assert offerer.link.asked.count(MAKE) == 2, "there was nothing left to take back"


async def test_who_leaves_as_it_offers_takes_that_along(
    redis_server: RedisServer, link: NotedLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=4) as offerer:
        on_its_way, may_arrive, run = asyncio.Event(), asyncio.Event(), offerer.link.run

        async def late(*question: Any) -> Any:
            if not on_its_way.is_set():
                on_its_way.set()
                await may_arrive.wait()
            return await run(*question)

        monkeypatch.setattr(offerer.link, "run", late)
        offerer.offering.look()
        await on_its_way.wait()
        leaving = asyncio.create_task(offerer.offering.withdraw())
        await asyncio.wait([leaving], timeout=0.05)  # for it to overtake, if it could
        may_arrive.set()
        await leaving
        await offerer.made(3)
        assert await taken(link) is None


async def test_nobody_waits_for_a_server_that_is_silent_when_he_leaves(
    redis_server: RedisServer, passing: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers_module, "_LEAVE_SECONDS", LONG_SECONDS)
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=4) as offerer:
        redis_server.freeze()
        leaving = asyncio.create_task(offerer.offering.withdraw())
        await offerer.link.until_asked(MAKE, 2)
        passing.let(LONG_SECONDS)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await leaving
        redis_server.thaw()


async def test_those_of_a_worker_that_fell_silent_lapse(
    redis_server: RedisServer, link: NotedLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers_module, "_LIFE_MS", 50)
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=4) as offerer:
        await offerer.fall_silent()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await link.call("EXISTS", offerer.key):
                await asyncio.sleep(0.002)  # nothing else tells
        assert await taken(link) is None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while redis_server.ask("KEYS", "*offer*"):
                await asyncio.sleep(0.002)


async def test_one_that_fell_silent_is_not_in_the_way_of_others(
    redis_server: RedisServer, link: NotedLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=4) as silent:
        await silent.fall_silent()
        await link.call("DEL", silent.key)  # as it goes by itself; it is in the set yet
        async with an_offerer(redis_server.url, owner=owner, room=4):
            assert await link.call("ZSCORE", link.keys.offering(None), silent.offering.name) is not None
            assert [await taken(link) for _ in range(3)] == [owner, owner, None]


async def test_they_are_made_again_when_half_of_them_were_heard_of(redis_server: RedisServer) -> None:
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=8) as offerer:
        assert [await taken(offerer.link) for _ in range(3)].count(None) == 0
        offerer.offering.heard()
        assert not offerer.offering._changed.is_set(), "a quarter"
        offerer.offering.heard()
        await offerer.made(2)
        assert await offerer.left() == 4
        assert offerer.offering._owed == 1


async def test_whatever_happens_they_are_made_once_in_a_moment(
    redis_server: RedisServer, link: NotedLink, passing: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers_module, "_MERGE_SECONDS", LONG_SECONDS)
    first, last = an_incarnation(), an_incarnation()
    async with an_offerer(redis_server.url, owner=first, room=4) as offerer:
        for room in (0, 4, 1, 16):
            offerer.offering.update(first, room)
            offerer.offering.heard()
            offerer.offering.look()
            await taken(link)  # meanwhile it would have said so
        offerer.offering.update(last, 4)
        assert offerer.link.asked == [MAKE]
        passing.let(LONG_SECONDS)
        await offerer.made(2)
        assert await taken(link) == last
        assert offerer.link.asked.count(MAKE) == 2


async def test_those_of_a_new_incarnation_are_in_its_name(redis_server: RedisServer, link: NotedLink) -> None:
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16) as offerer:
        offerer.offering.update(renewed := an_incarnation(), 16)
        await offerer.made(2)
        given = await asyncio.gather(*(taken(link) for _ in range(9)))
        assert Counter(given) == {renewed: 8, None: 1}


async def test_several_workers_share_the_jobs(
    redis_server: RedisServer, link: NotedLink, stack: AsyncExitStack
) -> None:
    for _ in range(8):
        await stack.enter_async_context(an_offerer(redis_server.url, owner=an_incarnation(), room=16))
    given = [await taken(link) for _ in range(8)]
    assert None not in given
    assert len(set(given)) > 1, "any of them could have taken all"


async def test_of_very_many_workers_some_are_looked_at(redis_server: RedisServer, link: NotedLink) -> None:
    """So that a take costs the same however many there are."""
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=16):
        names = [part for n in range(31) for part in (n, f"gone-{n}")]
        await link.call("ZADD", link.keys.offering(None), *names)
        assert await taken(link) == owner, "all are looked at"
        names = [part for n in range(1_000) for part in (n, f"gone-{n}")]
        await link.call("ZADD", link.keys.offering(None), *names)
        redis_server.ask("CONFIG", "RESETSTAT")
        await taken(link)
        assert redis_server.ask("INFO", "commandstats")["cmdstat_hmget"]["calls"] <= 32


@pytest.mark.usefixtures("often")
async def test_what_was_taken_in_vain_is_offered_again_and_asked_after_once(
    redis_server: RedisServer, link: NotedLink
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=4) as offerer:
        for times in (1, 2):
            assert [await taken(link), await taken(link)] == [owner, owner]
            async with asyncio.timeout(PATIENCE_SECONDS):
                while offerer.unheard < times:
                    await asyncio.sleep(0.002)  # nothing else tells
            await offerer.made(offerer.link.answered.count(MAKE) + 3)
            assert offerer.unheard == times, "and not again and again"
            assert await offerer.left() == 2


async def test_what_was_heard_of_is_not_asked_after(redis_server: RedisServer, link: NotedLink) -> None:
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16) as offerer:
        for _ in range(4):
            await taken(link)
        for _ in range(4):
            offerer.offering.heard()
        await offerer.made(2)
        offerer.offering.look()
        await offerer.made(3)
        await taken(link)
        offerer.offering.look()
        await offerer.made(4)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not offerer.unheard:
                await asyncio.sleep(0.002)  # nothing else tells
        assert offerer.unheard == 1, "of the last one, and of none before"


async def test_worker_that_has_no_room_left_asks_after_what_it_offered_as_well(
    redis_server: RedisServer, link: NotedLink, passing: Passing
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=4) as offerer:
        assert await taken(link) == owner
        offerer.offering.update(owner, 0)
        await offerer.made(2)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not offerer.unheard:
                await asyncio.sleep(0.002)  # nothing else tells
        assert not offerer.offering._active, "it has nothing more to say"


# Taken


async def test_one_held_is_given_without_asking_where_they_come_often(
    redis_server: RedisServer, link: NotedLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=16) as offerer:
        offers = RedisOffers(link)
        monkeypatch.setattr(offers_module, "_AFTER_SECONDS", 0)
        for _ in range(2):
            assert await offers.take(queue="mail", job_type="send") is not None
        await link.until_answered(TAKE, 3)
        monkeypatch.setattr(offers_module, "_AFTER_SECONDS", LONG_SECONDS)
        redis_server.freeze()
        offer = await offers.take(queue="mail", job_type="send")
        redis_server.thaw()
        assert offer is not None
        assert offer.owner == owner
        assert link.asked.count(TAKE) == 3
        assert await offerer.left() == 5


async def test_none_is_taken_in_advance_where_they_come_rarely(
    redis_server: RedisServer, link: NotedLink, passing: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers_module, "_AFTER_SECONDS", 0)
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16) as offerer:
        offers = RedisOffers(link)
        for _ in range(3):
            assert await offers.take(queue="mail", job_type="send") is not None
            assert (
                await offers.take(queue="mail", job_type="unknown") is None
            )  # after what would have been due
            passing.let(offers_module._HOLD_SECONDS)
        assert await offerer.left() == 5


async def test_one_held_for_too_long_is_not_used(
    redis_server: RedisServer, link: NotedLink, passing: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers_module, "_AFTER_SECONDS", 0)
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16) as offerer:
        offers = RedisOffers(link)
        for _ in range(2):
            assert await offers.take(queue="mail", job_type="send") is not None
        await link.until_answered(TAKE, 3)
        passing.let(offers_module._HOLD_SECONDS)
        await offerer.offering.withdraw()
        assert await offers.take(queue="mail", job_type="send") is None


async def test_no_more_than_one_is_held_however_often_they_come(
    redis_server: RedisServer, link: NotedLink, passing: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers_module, "_HOLD_SECONDS", LONG_SECONDS)
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16) as offerer:
        offers = RedisOffers(link)
        for times in (0, 1, 2):  # after each but the first the next is asked for, ever later
            monkeypatch.setattr(offers_module, "_AFTER_SECONDS", 60 * times)
            assert await offers.take(queue="mail", job_type="send") is not None
        passing.let(60)
        await link.until_answered(TAKE, 4)
        passing.let(60)
        for _ in range(3):  # rounds of the event loop, in which it would be asked for
            await asyncio.sleep(0)
        assert link.asked.count(TAKE) == 4
        assert await offerer.left() == 4


async def test_after_an_empty_answer_nobody_is_asked_for_a_while(
    redis_server: RedisServer, link: NotedLink, passing: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers_module, "_PAUSE_SECONDS", LONG_SECONDS)
    offers, owner = RedisOffers(link), an_incarnation()
    assert await offers.take(queue="mail", job_type="send") is None
    async with an_offerer(redis_server.url, owner=owner, room=16):
        for _ in range(3):
            assert await offers.take(queue="mail", job_type="send") is None
        assert link.asked == [TAKE]
        assert await offers.take(queue="bills", job_type="send") is not None, "of these nothing was known"
        passing.let(LONG_SECONDS)
        offer = await offers.take(queue="mail", job_type="send")
        assert offer is not None
        assert offer.owner == owner


async def test_those_at_one_moment_ask_once(redis_server: RedisServer, link: NotedLink) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=16) as offerer:
        offers = RedisOffers(link)
        given = await asyncio.gather(*(offers.take(queue="mail", job_type="send") for _ in range(5)))
        assert [offer is not None for offer in given] == [True] + [False] * 4
        assert link.asked == [TAKE]
        assert await offerer.left() == 7


async def test_kinds_of_jobs_are_remembered_up_to_a_bound(
    link: NotedLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers_module, "_KINDS_MAX", 4)
    monkeypatch.setattr(offers_module, "_PAUSE_SECONDS", LONG_SECONDS)
    offers = RedisOffers(link)
    for n in range(10):
        await offers.take(queue="first", job_type="send")
        await offers.take(queue=f"queue-{n}", job_type="send")
    assert [queue for queue, _ in offers._kinds] == ["queue-7", "queue-8", "first", "queue-9"]
    assert link.asked.count(TAKE) == 11, "what comes often is not forgotten"


async def test_none_while_redis_is_away(redis_server: RedisServer, link: NotedLink) -> None:
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16):
        offers = RedisOffers(link)
        redis_server.kill()
        assert await offers.take(queue="mail", job_type="send") is None
        assert not link.up
        asked = len(link.asked)
        assert await offers.take(queue="bills", job_type="send") is None
        assert len(link.asked) == asked


async def test_one_that_was_held_when_redis_went_away_is_not_used(
    redis_server: RedisServer, link: NotedLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers_module, "_AFTER_SECONDS", 0)
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16):
        offers = RedisOffers(link)
        for _ in range(2):
            assert await offers.take(queue="mail", job_type="send") is not None
        await link.until_answered(TAKE, 3)
        redis_server.kill()
        await offers.take(queue="bills", job_type="send")  # which notices it
        assert await offers.take(queue="mail", job_type="send") is None


async def test_none_on_another_event_loop(redis_server: RedisServer, link: NotedLink) -> None:
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16):
        offers = RedisOffers(link)

        def elsewhere() -> Any:
            return asyncio.run(offers.take(queue="mail", job_type="send"))

        assert await asyncio.to_thread(elsewhere) is None
        assert link.asked == []
        assert await offers.take(queue="mail", job_type="send") is not None


async def test_silent_server_is_waited_for_once_and_not_for_longer_than_it_is_worth(
    redis_server: RedisServer, proxy: FaultProxy, passing: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers_module, "_PATIENCE_SECONDS", LONG_SECONDS)
    owner = an_incarnation()
    async with (
        an_offerer(redis_server.url, owner=owner, room=16) as offerer,
        a_noted_link(proxy.url) as link,
    ):
        offers = RedisOffers(link)
        proxy.behave(Behaviour.STALL)
        waiting = [asyncio.create_task(offers.take(queue="mail", job_type="send")) for _ in range(3)]
        await link.until_asked(TAKE, 1)
        assert not any(task.done() for task in waiting)
        passing.let(LONG_SECONDS)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await asyncio.gather(*waiting) == [None] * 3
            assert await offers.take(queue="mail", job_type="send") is None, "at once: it would have waited"
        assert (link.asked, link.up) == ([TAKE], True)
        proxy.behave(Behaviour.PASS)
        await link.until_answered(TAKE, 1)
        offer = await offers.take(queue="mail", job_type="send")
        assert offer is not None
        assert offer.owner == owner, "what came late is not lost"
        assert link.asked == [TAKE]
        assert await offerer.left() == 7


@pytest.mark.parametrize("frozen", [False, True])
async def test_closing_leaves_no_question_behind(
    redis_server: RedisServer,
    frozen: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(offers_module, "_AFTER_SECONDS", 0.01)
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16):
        before = asyncio.all_tasks()
        link = NotedLink(redis_server.url)
        await link.open()
        await until_up(link)
        offers = RedisOffers(link)
        for _ in range(2):  # the next one is to be asked for in a moment
            assert await offers.take(queue="mail", job_type="send") is not None
        if frozen:
            redis_server.freeze()
        asking = asyncio.create_task(offers.take(queue="bills", job_type="send"))
        await link.until_asked(TAKE, 3)
        await link.close()
        if frozen:
            redis_server.thaw()
        assert (await asking is None) is frozen, "what was under way came to its end, if it could"
        asked = len(link.asked)
        for _ in range(3):
            await asyncio.sleep(offers_module._AFTER_SECONDS)
        assert asyncio.all_tasks() == before
        assert len(link.asked) == asked, "of who is closed nothing is asked"
        assert await offers.take(queue="bills", job_type="send") is None
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_who_stops_waiting_leaves_it_to_the_next(redis_server: RedisServer, proxy: FaultProxy) -> None:
    async with (
        an_offerer(redis_server.url, owner=an_incarnation(), room=16) as offerer,
        a_noted_link(proxy.url) as link,
    ):
        offers = RedisOffers(link)
        proxy.behave(Behaviour.STALL)
        waiting = asyncio.create_task(offers.take(queue="mail", job_type="send"))
        await link.until_asked(TAKE, 1)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        proxy.behave(Behaviour.PASS)
        assert await offers.take(queue="mail", job_type="send") is not None
        assert link.asked == [TAKE]
        assert await offerer.left() == 7


# In Redis


async def test_every_key_expires(redis_server: RedisServer, link: NotedLink) -> None:
    async with (
        an_offerer(redis_server.url, "mail", "bills", owner=an_incarnation(), room=16) as named,
        an_offerer(redis_server.url, owner=an_incarnation(), room=16) as everywhere,
    ):
        assert await taken(link) is not None
        keys = {key for key in redis_server.ask("KEYS", "*") if "probe" not in key}
        assert keys == {
            link.keys.offering("mail"), link.keys.offering("bills"), link.keys.offering(None),
            named.key, everywhere.key,
        }  # fmt: skip
        for key in keys:
            assert 0 < redis_server.ask("PTTL", key) <= offers_module._LIFE_MS, key


@pytest.mark.usefixtures("often")
async def test_emptied_server_is_offered_to_again(redis_server: RedisServer, link: NotedLink) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=16) as offerer:
        redis_server.empty()
        await offerer.made(offerer.link.answered.count(MAKE) + 2)
        assert await taken(link) == owner
        assert offerer.unheard == 0


async def test_server_that_forgot_its_scripts_is_told_them_again(
    redis_server: RedisServer, link: NotedLink
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=16) as offerer:
        for times in (2, 3):
            redis_server.ask("SCRIPT", "FLUSH")
            assert await taken(link) == owner
            redis_server.ask("SCRIPT", "FLUSH")
            offerer.offering.look()
            await offerer.made(times)
            assert await offerer.left() == 8
        assert link.up
        assert offerer.link.up


@pytest.mark.usefixtures("often")
async def test_worker_is_heard_again_when_redis_comes_back(
    redis_server: RedisServer, link: NotedLink
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=16) as offerer:
        redis_server.kill()
        with pytest.raises(RedisAway, match="can't be reached"):
            await offerer._running[0]
        redis_server.start()
        await until_up(offerer.link)
        await until_up(link)
        made = offerer.link.answered.count(MAKE)
        offerer.start()  # as whoever waits for hints does
        await offerer.made(made + 1)
        assert await taken(link) == owner


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("key", ["offering", "offer"])
async def test_key_of_another_type_is_survived(
    redis_server: RedisServer, link: NotedLink, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=16) as offerer:
        name = offerer.key if key == "offer" else link.keys.offering(None)
        await link.call("SET", name, "x", "PX", 60_000)
        await offerer.made(offerer.link.answered.count(MAKE) + 2)
        assert await taken(link) is None
        assert not offerer._running[0].done()
        assert (link.up, offerer.link.up) == (True, True)
        assert "redis refuses a command" in caplog.text
        await link.call("DEL", name)
        await offerer.made(offerer.link.answered.count(MAKE) + 2)
        assert await taken(link) == owner


@pytest.mark.parametrize(
    "fields",
    [
        {"owner": "nobody", "types": "\0send\0", "left": 1},
        {"owner": b"\xff\xfe", "types": "\0send\0", "left": 1},
        {"owner": "", "types": "\0send\0", "left": 1},
        {"owner": str(an_incarnation()), "types": "\0send\0"},
        {"owner": str(an_incarnation()), "types": "\0send\0", "left": "many"},
        {"owner": str(an_incarnation()), "left": 1},
        {"types": "\0send\0", "left": 1},
    ],
)
async def test_what_others_wrote_there_is_no_offer(
    redis_server: RedisServer, link: NotedLink, fields: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    await link.call("ZADD", link.keys.offering(None), 1, "another")
    await link.call("PEXPIRE", link.keys.offering(None), 60_000)
    await link.call("HSET", link.keys.offer("another"), *(part for pair in fields.items() for part in pair))
    await link.call("PEXPIRE", link.keys.offer("another"), 60_000)
    offers = RedisOffers(link)
    assert await offers.take(queue="mail", job_type="send") is None
    assert await offers.take(queue="mail", job_type="send") is None
    assert link.asked == [TAKE], "for a while"
    assert link.up
    assert "never retrieved" not in caplog.text


async def test_one_that_would_never_lapse_is_not_used(redis_server: RedisServer, link: NotedLink) -> None:
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16) as offerer:
        await link.call("PERSIST", offerer.key)
        assert await taken(link) is None
        await link.call("PEXPIRE", offerer.key, 60_000)
        assert await taken(link) is not None


async def test_they_go_through_a_cluster(tmp_path: Path) -> None:
    with RedisCluster(tmp_path) as cluster:
        async with a_noted_link(cluster.url) as link:
            named, everywhere = an_incarnation(), an_incarnation()
            async with (
                an_offerer(cluster.url, "mail", "bills", owner=named, room=4),
                an_offerer(cluster.url, owner=everywhere, room=4) as offerer,
            ):
                given = [await taken(link, queue=queue) for queue in ("mail", "bills", "mail", "mail")]
                assert given == [named, named, everywhere, everywhere]
                await offerer.offering.withdraw()
                assert await taken(link, queue="others") is None


@pytest.mark.usefixtures("often")
async def test_they_go_through_the_new_master_after_a_failover(tmp_path: Path) -> None:
    with Watched(tmp_path) as watched:
        async with a_noted_link(watched.url) as link:
            owner = an_incarnation()
            async with an_offerer(watched.url, owner=owner, room=16) as offerer:
                assert await taken(link) == owner
                old = watched.master
                old.kill()
                assert await taken(link) is None
                await offerer.fall_silent()
                await asyncio.to_thread(watched.await_another_than, old)
                await until_up(link)
                await until_up(offerer.link)
                made = offerer.link.answered.count(MAKE)
                offerer.start()
                await offerer.made(made + 1)
                assert await taken(link) == owner
