"""The way to Redis: what it does while the server is there, as it goes, while it is away, and as it comes back."""

import asyncio
from datetime import timedelta

import pytest

from schedora.adapters.redis.errors import CommandRefused, RedisAway
from schedora.adapters.redis.scripts import Script, load
from tests.redis.reaching import reaching, refused, until_up
from tests.redis.servers import RedisServer

ECHO = Script.of("echo", "return {KEYS[1], ARGV[1]}")


async def test_commands_and_scripts_are_answered_as_redis_answers(redis_server: RedisServer) -> None:
    async with reaching(redis_server.url) as link:
        assert link.up
        assert await link.call("SET", "a", b"\x00 1", "PX", 60_000) == b"OK"
        assert await link.call("GET", "a") == b"\x00 1"
        assert await link.run(ECHO, ["k"], [7]) == [b"k", b"7"]
        await link.call("SCRIPT", "FLUSH")
        assert await link.run(ECHO, ["k"], [7]) == [b"k", b"7"]
        assert await link.run(load("probe"), [link.keys.probe()], [60_000]) == b"OK"


async def test_a_wrong_command_fails_alone(redis_server: RedisServer) -> None:
    async with reaching(redis_server.url) as link:
        with pytest.raises(CommandRefused, match="refuses a command"):
            await link.call("NONSENSE")
        assert link.up


async def test_a_server_that_dies_fails_what_is_under_way_and_is_found_again(
    redis_server: RedisServer,
) -> None:
    changes: list[bool] = []
    async with reaching(redis_server.url) as link:
        link.on_change(changes.append)
        async with link.own_connection() as own:
            waiting = asyncio.create_task(own.call("BLPOP", "list", 30, patience=timedelta(seconds=30)))
            await asyncio.sleep(0)
            redis_server.kill()
            with pytest.raises(RedisAway):
                await waiting
            assert not link.up
            with pytest.raises(RedisAway, match="can't be reached"):
                await link.call("PING")
            redis_server.start()
            await until_up(link)
            with pytest.raises(RedisAway, match="broke"):
                await own.call("PING")
        async with link.own_connection() as own:
            assert await own.call("BLPOP", "list", 0.01, patience=timedelta(seconds=1)) is None
        assert await link.call("PING") == b"PONG"
    assert changes == [False, True]


async def test_one_that_is_away_holds_nobody_up() -> None:
    async with refused("redis://127.0.0.1:1") as link:
        with pytest.raises(RedisAway, match="can't be reached"):
            await link.call("PING")
        with pytest.raises(RedisAway):
            async with link.own_connection():
                pytest.fail("there is none")
