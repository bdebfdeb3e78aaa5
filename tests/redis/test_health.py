"""Whether Redis answers: there, gone, back, frozen, closed to us."""

import pytest

from schedora.adapters.redis import health
from schedora.adapters.redis.health import RedisHealth
from schedora.application.errors import StoreUnavailable
from tests.redis.servers import RedisServer


async def test_one_that_answers_is_well(redis_server: RedisServer) -> None:
    await RedisHealth(redis_server.url).check()


async def test_one_that_went_away_is_told_of_and_found_again(redis_server: RedisServer) -> None:
    checked = RedisHealth(redis_server.url)
    await checked.check()
    redis_server.kill()
    with pytest.raises(StoreUnavailable, match="Redis does not answer"):
        await checked.check()
    redis_server.start()
    await checked.check()


async def test_one_that_is_frozen_is_not_waited_for(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "TIMEOUT_SECONDS", 0.05)
    redis_server.freeze()
    with pytest.raises(StoreUnavailable, match="Redis does not answer"):
        await RedisHealth(redis_server.url).check()
    redis_server.thaw()


async def test_one_that_refuses_us_is_not_well_and_its_password_is_not_told(
    guarded_server: RedisServer,
) -> None:
    await RedisHealth(guarded_server.url).check()
    with pytest.raises(StoreUnavailable, match="Redis does not answer") as caught:
        await RedisHealth(f"unix://{guarded_server.socket}?password=guess").check()
    assert "guess" not in str(caught.value)


async def test_nobody_there() -> None:
    with pytest.raises(StoreUnavailable, match="Redis does not answer"):
        await RedisHealth("redis://127.0.0.1:1").check()
