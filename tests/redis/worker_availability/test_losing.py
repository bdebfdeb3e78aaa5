"""Availability of idle workers: what becomes of them where Redis forgets, fails over, or holds what others wrote."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from schedora.adapters.redis import worker_availability as availability_module
from schedora.adapters.redis.errors import RedisAway
from schedora.adapters.redis.worker_availability import RedisWorkerAvailability
from tests.builders import an_incarnation
from tests.redis.available_workers import (
    MAKE,
    TAKE,
    NotedLink,
    a_noted_link,
    an_offerer,
    taken,
)
from tests.redis.cluster import RedisCluster
from tests.redis.reaching import until_up
from tests.redis.sentinels import Watched
from tests.redis.servers import RedisServer


async def test_every_key_expires(redis_server: RedisServer, link: NotedLink) -> None:
    async with (
        an_offerer(redis_server.url, "mail", "bills", owner=an_incarnation(), room=16) as named,
        an_offerer(redis_server.url, owner=an_incarnation(), room=16) as everywhere,
    ):
        assert await taken(link) is not None
        keys = {key for key in redis_server.ask("KEYS", "*") if "probe" not in key}
        assert keys == {
            link.keys.available("mail"), link.keys.available("bills"), link.keys.available(None),
            named.key, everywhere.key,
        }  # fmt: skip
        for key in keys:
            assert 0 < redis_server.ask("PTTL", key) <= availability_module._LIFE_MS, key


@pytest.mark.usefixtures("often")
async def test_emptied_server_is_offered_to_again(redis_server: RedisServer, link: NotedLink) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=16) as idle:
        redis_server.empty()
        await idle.made(idle.link.answered.count(MAKE) + 2)
        assert await taken(link) == owner
        assert idle.unheard == 0


async def test_server_that_forgot_its_scripts_is_told_them_again(
    redis_server: RedisServer, link: NotedLink
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=16) as idle:
        for times in (2, 3):
            redis_server.ask("SCRIPT", "FLUSH")
            assert await taken(link) == owner
            redis_server.ask("SCRIPT", "FLUSH")
            idle.publisher.look()
            await idle.made(times)
            assert await idle.left() == 8
        assert link.up
        assert idle.link.up


@pytest.mark.usefixtures("often")
async def test_worker_is_heard_again_when_redis_comes_back(
    redis_server: RedisServer, link: NotedLink
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=16) as idle:
        redis_server.kill()
        with pytest.raises(RedisAway, match="can't be reached"):
            await idle._running[0]
        redis_server.start()
        await until_up(idle.link)
        await until_up(link)
        made = idle.link.answered.count(MAKE)
        idle.start()  # as whoever waits for hints does
        await idle.made(made + 1)
        assert await taken(link) == owner


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("key", ["available", "availability"])
async def test_key_of_another_type_is_survived(
    redis_server: RedisServer, link: NotedLink, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    owner = an_incarnation()
    async with an_offerer(redis_server.url, owner=owner, room=16) as idle:
        name = idle.key if key == "availability" else link.keys.available(None)
        await link.call("SET", name, "x", "PX", 60_000)
        await idle.made(idle.link.answered.count(MAKE) + 2)
        assert await taken(link) is None
        assert not idle._running[0].done()
        assert (link.up, idle.link.up) == (True, True)
        assert "redis refuses a command" in caplog.text
        await link.call("DEL", name)
        await idle.made(idle.link.answered.count(MAKE) + 2)
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
    await link.call("ZADD", link.keys.available(None), 1, "another")
    await link.call("PEXPIRE", link.keys.available(None), 60_000)
    await link.call(
        "HSET", link.keys.availability("another"), *(part for pair in fields.items() for part in pair)
    )
    await link.call("PEXPIRE", link.keys.availability("another"), 60_000)
    availability = RedisWorkerAvailability(link)
    assert await availability.take(queue="mail", job_type="send") is None
    assert await availability.take(queue="mail", job_type="send") is None
    assert link.asked == [TAKE], "for a while"
    assert link.up
    assert "never retrieved" not in caplog.text


async def test_one_that_would_never_lapse_is_not_used(redis_server: RedisServer, link: NotedLink) -> None:
    async with an_offerer(redis_server.url, owner=an_incarnation(), room=16) as idle:
        await link.call("PERSIST", idle.key)
        assert await taken(link) is None
        await link.call("PEXPIRE", idle.key, 60_000)
        assert await taken(link) is not None


async def test_they_go_through_a_cluster(tmp_path: Path) -> None:
    with RedisCluster(tmp_path) as cluster:
        async with a_noted_link(cluster.url) as link:
            named, everywhere = an_incarnation(), an_incarnation()
            async with (
                an_offerer(cluster.url, "mail", "bills", owner=named, room=4),
                an_offerer(cluster.url, owner=everywhere, room=4) as idle,
            ):
                given = [await taken(link, queue=queue) for queue in ("mail", "bills", "mail", "mail")]
                assert given == [named, named, everywhere, everywhere]
                await idle.publisher.withdraw()
                assert await taken(link, queue="others") is None


@pytest.mark.usefixtures("often")
async def test_they_go_through_the_new_master_after_a_failover(tmp_path: Path) -> None:
    with Watched(tmp_path) as watched:
        async with a_noted_link(watched.url) as link:
            owner = an_incarnation()
            async with an_offerer(watched.url, owner=owner, room=16) as idle:
                assert await taken(link) == owner
                old = watched.master
                old.kill()
                assert await taken(link) is None
                await idle.fall_silent()
                await asyncio.to_thread(watched.await_another_than, old)
                await until_up(link)
                await until_up(idle.link)
                made = idle.link.answered.count(MAKE)
                idle.start()
                await idle.made(made + 1)
                assert await taken(link) == owner
