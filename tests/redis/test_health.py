"""Whether Redis answers: there, gone, back, frozen, closed to us."""

import pytest

from schedora.adapters.redis.health import RedisHealth
from schedora.adapters.redis.link import RedisLink
from schedora.application.errors import StoreUnavailable
from tests.redis.servers import RedisServer


async def test_one_that_answers_is_well(redis_server: RedisServer) -> None:
    async with RedisLink(redis_server.url) as link:
        await RedisHealth(link).check()


async def test_one_that_went_away_is_told_of_and_found_again(redis_server: RedisServer) -> None:
    async with RedisLink(redis_server.url) as link:
        checked = RedisHealth(link)
        await checked.check()
        redis_server.kill()
        with pytest.raises(StoreUnavailable, match="can't be reached"):
            await checked.check()
        redis_server.start()
        await checked.check()


async def test_one_that_is_frozen_is_not_waited_for(redis_server: RedisServer) -> None:
    async with RedisLink(f"{redis_server.url}?socket_timeout=0.05") as link:
        redis_server.freeze()
        with pytest.raises(StoreUnavailable, match="does not answer in time"):
            await RedisHealth(link).check()
        redis_server.thaw()
        await RedisHealth(link).check()


async def test_one_that_refuses_us_is_not_well_and_its_password_is_not_told(
    guarded_server: RedisServer,
) -> None:
    async with RedisLink(guarded_server.url) as link:
        await RedisHealth(link).check()
    async with RedisLink(f"unix://{guarded_server.socket}?password=guess") as link:
        with pytest.raises(StoreUnavailable, match="refuses the user or the password") as caught:
            await RedisHealth(link).check()
    assert "guess" not in str(caught.value)


async def test_nobody_there() -> None:
    async with RedisLink("redis://127.0.0.1:1") as link:
        with pytest.raises(StoreUnavailable, match=r"Redis at 127\.0\.0\.1:1 can't be reached"):
            await RedisHealth(link).check()
