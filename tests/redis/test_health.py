"""Whether Redis answers: there, gone, back, frozen, closed to us."""

import asyncio
from contextlib import suppress

import pytest

from schedora.adapters.redis.health import RedisHealth
from schedora.application.errors import StoreUnavailable
from tests.programs import PATIENCE_SECONDS
from tests.redis.reaching import impatience, reaching, refused
from tests.redis.servers import RedisServer


async def test_one_that_answers_is_well(redis_server: RedisServer) -> None:
    async with reaching(redis_server.url) as link:
        await RedisHealth(link).check()


async def test_one_that_went_away_is_told_of_and_found_again(redis_server: RedisServer) -> None:
    async with reaching(redis_server.url) as link:
        checked = RedisHealth(link)
        await checked.check()
        redis_server.kill()
        with pytest.raises(StoreUnavailable, match="can't be reached"):
            await checked.check()
        redis_server.start()
        await found(checked)


async def found(checked: RedisHealth) -> None:
    """By being looked at, at once; an attempt that began before may still fail."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with suppress(StoreUnavailable):
                return await checked.check()


async def test_one_that_is_frozen_is_not_waited_for(redis_server: RedisServer) -> None:
    async with reaching(redis_server.url) as link:
        redis_server.freeze()
        with impatience(link), pytest.raises(StoreUnavailable, match="does not answer in time"):
            await RedisHealth(link).check()
        redis_server.thaw()
        await found(RedisHealth(link))


async def test_one_that_refuses_us_is_not_well_and_its_password_is_not_told(
    guarded_server: RedisServer,
) -> None:
    async with reaching(guarded_server.url) as link:
        await RedisHealth(link).check()
    async with refused(f"unix://{guarded_server.socket}?password=guess") as link:
        with pytest.raises(StoreUnavailable, match="refuses the user or the password") as caught:
            await RedisHealth(link).check()
    assert "guess" not in str(caught.value)


async def test_nobody_there() -> None:
    async with refused("redis://127.0.0.1:1") as link:
        with pytest.raises(StoreUnavailable, match=r"Redis at 127\.0\.0\.1:1 can't be reached"):
            await RedisHealth(link).check()
