"""Availability of idle workers: when they make them, to whom, how many, and when they take them back."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest

from schedora.adapters.redis import worker_availability as availability_module
from schedora.domain.ids import IncarnationId
from tests.builders import an_incarnation
from tests.programs import PATIENCE_SECONDS
from tests.redis.available_workers import (
    LONG_SECONDS,
    MAKE,
    NotedLink,
    Passing,
    an_offerer,
    taken,
)
from tests.redis.servers import RedisServer

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


async def test_each_is_taken_once_and_no_more_than_were_made(
    redis_server: RedisServer, link: NotedLink
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=6) as idle:
        given = await asyncio.gather(*(taken(link) for _ in range(8)))
        assert Counter(given) == {owner: 3, None: 5}, "half of its room"
        assert await idle.left() == 0


async def test_of_very_much_room_a_part_is_offered(redis_server: RedisServer, link: NotedLink) -> None:
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=1_000) as idle:
        assert await idle.left() == availability_module._MAX


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
    async with an_offerer(redis_server.url, owner=owner, room=room, deaf=deaf) as idle:
        idle.publisher.look()
        assert await taken(link) is None
        idle.deaf = False
        idle.publisher.update(later := an_incarnation(), 16)
        await idle.made(1)
        assert await taken(link) == later, "it would have"


async def test_they_go_when_there_is_no_room_any_more_and_come_back(
    redis_server: RedisServer, link: NotedLink
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=4) as idle:
        idle.publisher.update(owner, 1)
        await idle.made(2)
        assert await taken(link) is None
        assert redis_server.ask("KEYS", "*availab*") == []
        idle.publisher.update(owner, 4)
        await idle.made(3)
        assert await taken(link) == owner


async def test_there_are_fewer_once_there_is_less_room_than_is_offered(redis_server: RedisServer) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=16) as idle:
        assert await idle.left() == 8
        idle.publisher.update(owner, 8)
        assert not idle.publisher._changed.is_set(), "what is offered has room yet"
        idle.publisher.update(owner, 7)
        await idle.made(2)
        assert await idle.left() == 3


async def test_they_go_when_the_worker_hears_no_more_and_come_back(
    redis_server: RedisServer, link: NotedLink
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=4) as idle:
        idle.deaf = True
        idle.publisher.look()
        await idle.made(2)
        assert await taken(link) is None
        idle.deaf = False
        idle.publisher.look()
        await idle.made(3)
        assert await taken(link) == owner


async def test_who_leaves_takes_them_along(redis_server: RedisServer, link: NotedLink) -> None:
    async with an_offerer(redis_server.url, "mail", "bills", owner=an_incarnation(), room=4) as idle:
        await idle.publisher.withdraw()
        assert await taken(link) is None
        assert redis_server.ask("KEYS", "*availab*") == []
        await idle.publisher.withdraw()
        assert idle.link.asked.count(MAKE) == 2, "there was nothing left to take back"


async def test_who_leaves_as_it_offers_takes_that_along(
    redis_server: RedisServer, link: NotedLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=4) as idle:
        on_its_way, may_arrive, run = asyncio.Event(), asyncio.Event(), idle.link.run

        async def late(*question: Any) -> Any:
            if not on_its_way.is_set():
                on_its_way.set()
                await may_arrive.wait()
            return await run(*question)

        monkeypatch.setattr(idle.link, "run", late)
        idle.publisher.look()
        await on_its_way.wait()
        leaving = asyncio.create_task(idle.publisher.withdraw())
        await asyncio.wait([leaving], timeout=0.05)  # for it to overtake, if it could
        may_arrive.set()
        await leaving
        await idle.made(3)
        assert await taken(link) is None


async def test_nobody_waits_for_a_server_that_is_silent_when_he_leaves(
    redis_server: RedisServer, passing: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability_module, "_LEAVE_SECONDS", LONG_SECONDS)
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=4) as idle:
        redis_server.freeze()
        leaving = asyncio.create_task(idle.publisher.withdraw())
        await idle.link.until_asked(MAKE, 2)
        passing.let(LONG_SECONDS)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await leaving
        redis_server.thaw()


async def test_those_of_a_worker_that_fell_silent_lapse(
    redis_server: RedisServer, link: NotedLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability_module, "_LIFE_MS", 50)
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=4) as idle:
        await idle.fall_silent()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await link.call("EXISTS", idle.key):
                await asyncio.sleep(0.002)  # nothing else tells
        assert await taken(link) is None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while redis_server.ask("KEYS", "*availab*"):
                await asyncio.sleep(0.002)


async def test_one_that_fell_silent_is_not_in_the_way_of_others(
    redis_server: RedisServer, link: NotedLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=4) as silent:
        await silent.fall_silent()
        await link.call("DEL", silent.key)  # as it goes by itself; it is in the set yet
        async with an_offerer(redis_server.url, owner=owner, room=4):
            assert await link.call("ZSCORE", link.keys.available(None), silent.publisher.name) is not None
            assert [await taken(link) for _ in range(3)] == [owner, owner, None]


async def test_they_are_made_again_when_half_of_them_were_heard_of(redis_server: RedisServer) -> None:
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=8) as idle:
        assert [await taken(idle.link) for _ in range(3)].count(None) == 0
        idle.publisher.heard()
        assert not idle.publisher._changed.is_set(), "a quarter"
        idle.publisher.heard()
        await idle.made(2)
        assert await idle.left() == 4
        assert idle.publisher._owed == 1


async def test_whatever_happens_they_are_made_once_in_a_moment(
    redis_server: RedisServer, link: NotedLink, passing: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability_module, "_MERGE_SECONDS", LONG_SECONDS)
    first, last = an_incarnation(), an_incarnation()
    async with an_offerer(redis_server.url, owner=first, room=4) as idle:
        for room in (0, 4, 1, 16):
            idle.publisher.update(first, room)
            idle.publisher.heard()
            idle.publisher.look()
            await taken(link)  # meanwhile it would have said so
        idle.publisher.update(last, 4)
        assert idle.link.asked == [MAKE]
        passing.let(LONG_SECONDS)
        await idle.made(2)
        assert await taken(link) == last
        assert idle.link.asked.count(MAKE) == 2


async def test_those_of_a_new_incarnation_are_in_its_name(redis_server: RedisServer, link: NotedLink) -> None:
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16) as idle:
        idle.publisher.update(renewed := an_incarnation(), 16)
        await idle.made(2)
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
        await link.call("ZADD", link.keys.available(None), *names)
        assert await taken(link) == owner, "all are looked at"
        names = [part for n in range(1_000) for part in (n, f"gone-{n}")]
        await link.call("ZADD", link.keys.available(None), *names)
        redis_server.ask("CONFIG", "RESETSTAT")
        await taken(link)
        assert redis_server.ask("INFO", "commandstats")["cmdstat_hmget"]["calls"] <= 32


async def test_what_was_taken_in_vain_is_offered_again_and_asked_after_once(
    redis_server: RedisServer, link: NotedLink
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=4) as idle:
        for times in (1, 2):
            assert [await taken(link), await taken(link)] == [owner, owner]
            for _ in range(4):  # never between the two: each would be asked after by itself
                made = idle.link.answered.count(MAKE)
                idle.publisher.look()
                await idle.made(made + 1)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while idle.unheard < times:
                        await asyncio.sleep(0.002)  # nothing else tells
            assert idle.unheard == times, "and not again and again"
            assert await idle.left() == 2


@pytest.mark.parametrize("hears", [False, True])
async def test_what_is_taken_again_and_again_and_never_heard_of_is_asked_after(
    redis_server: RedisServer, link: NotedLink, passing: Passing, hears: bool
) -> None:
    """A worker whose connection is dead, and does not know it, must not be given ever more jobs."""
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=16) as idle:
        for times in range(2, 5):
            assert [await taken(link) for _ in range(8)] == [owner] * 8
            assert idle.unheard == 0, "it is too early"
            if hears:
                idle.publisher.heard()
            idle.publisher.exhausted()
            await idle.made(times)
            passing.let(0.6 * LONG_SECONDS)
        idle.publisher.exhausted()
        await idle.made(5)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not idle.unheard and not hears:
                await asyncio.sleep(0.002)  # nothing else tells
        assert idle.unheard == (0 if hears else 1)


async def test_what_was_heard_of_is_not_asked_after(redis_server: RedisServer, link: NotedLink) -> None:
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16) as idle:
        for _ in range(4):
            await taken(link)
        for _ in range(4):
            idle.publisher.heard()
        await idle.made(2)
        idle.publisher.look()
        await idle.made(3)
        await taken(link)
        idle.publisher.look()
        await idle.made(4)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not idle.unheard:
                await asyncio.sleep(0.002)  # nothing else tells
        assert idle.unheard == 1, "of the last one, and of none before"


async def test_worker_that_has_no_room_left_asks_after_what_it_offered_as_well(
    redis_server: RedisServer, link: NotedLink, passing: Passing
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=4) as idle:
        assert await taken(link) == owner
        idle.publisher.update(owner, 0)
        await idle.made(2)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not idle.unheard:
                await asyncio.sleep(0.002)  # nothing else tells
        assert not idle.publisher._active, "it has nothing more to say"
