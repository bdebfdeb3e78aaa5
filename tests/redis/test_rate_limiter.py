"""Token buckets in Redis: what is kept and for how long, what rivals get, and which limit holds while Redis comes and goes."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import nullcontext
from datetime import timedelta

import pytest

from schedora.adapters.memory.rate_limiter import MemoryRateLimiter
from schedora.adapters.redis.link import RedisLink
from schedora.adapters.redis.rate_limiter import RedisRateLimiter
from schedora.domain.limits import RateLimit, Take, TokenRequest
from tests.builders import HOUR
from tests.contract.memory import a_memory_store
from tests.programs import unconfigured_environment
from tests.redis.cluster import RedisCluster
from tests.redis.proxy import Behaviour, FaultProxy
from tests.redis.reaching import impatience, reaching, until_up
from tests.redis.servers import RedisServer

HOURLY = RateLimit(tokens=1, per=HOUR, burst=3)
HOUR_MS = 3_600_000


def request(*buckets: str, tokens: int = 1, limit: RateLimit = HOURLY) -> TokenRequest:
    return TokenRequest(tuple(Take(bucket=bucket, limit=limit, tokens=tokens) for bucket in buckets))


@pytest.fixture
def otherwise() -> MemoryRateLimiter:
    return MemoryRateLimiter(a_memory_store())


@pytest.fixture
async def link(redis_server: RedisServer) -> AsyncIterator[RedisLink]:
    async with reaching(redis_server.url) as link:
        yield link


async def granted(limiter: RedisRateLimiter | MemoryRateLimiter, *requests: TokenRequest) -> list[bool]:
    return [decision.granted for decision in await limiter.take(requests)]


async def test_a_bucket_goes_when_it_is_full_again(link: RedisLink, otherwise: MemoryRateLimiter) -> None:
    limiter = RedisRateLimiter(link, otherwise)
    quick = RateLimit(tokens=1_000, per=timedelta(seconds=1), burst=1)
    assert await granted(limiter, request("b", tokens=2), request("q", limit=quick)) == [True, True]
    assert 2 * HOUR_MS - 60_000 < await link.call("PTTL", link.keys.bucket("b")) <= 2 * HOUR_MS + 1
    while await link.call("EXISTS", link.keys.bucket("q")):
        pass
    assert await granted(limiter, request("q", limit=quick)) == [True]


async def test_what_is_refused_is_not_written(link: RedisLink, otherwise: MemoryRateLimiter) -> None:
    limiter = RedisRateLimiter(link, otherwise)
    assert await granted(limiter, request("a", tokens=3), request("a", "b")) == [True, False]
    kept = await link.call("GET", link.keys.bucket("a"))
    assert await granted(limiter, request("a", "b")) == [False]
    assert await link.call("GET", link.keys.bucket("a")) == kept
    assert not await link.call("EXISTS", link.keys.bucket("b"))


@pytest.mark.parametrize(
    "foreign",
    [
        ("SET", "garbage"),
        ("SET", ""),
        ("SET", "99999999999999999999999999 0"),
        ("SET", "-1 -1"),
        ("SET", "1e300 7"),
        ("SET", "nan nan"),
        ("LPUSH", "x"),
    ],
    ids=" ".join,
)
async def test_what_is_no_bucket_holds_nobody_up(
    link: RedisLink, otherwise: MemoryRateLimiter, foreign: tuple[str, str]
) -> None:
    """A full one takes its place, or an empty one of this limit where it looks like one that lacks a lot."""
    command, value = foreign
    await link.call(command, link.keys.bucket("b"), value)
    limiter = RedisRateLimiter(link, otherwise)
    enough = not value.startswith("9")
    assert await granted(limiter, request("b", tokens=3), request("a")) == [enough, True]
    assert await link.call("PTTL", link.keys.bucket("b")) <= 3 * HOUR_MS + 1
    assert await granted(limiter, request("b")) == [False]


async def test_a_server_that_forgot_the_script_is_told_it_again(
    link: RedisLink, otherwise: MemoryRateLimiter
) -> None:
    limiter = RedisRateLimiter(link, otherwise)
    assert await granted(limiter, request("b", tokens=2)) == [True]
    await link.call("SCRIPT", "FLUSH")
    assert await granted(limiter, request("b", tokens=2), request("b")) == [False, True]


async def test_several_buckets_of_one_request_are_in_one_slot_of_a_cluster(
    cluster: RedisCluster, otherwise: MemoryRateLimiter
) -> None:
    async with reaching(cluster.url) as link:
        limiter = RedisRateLimiter(link, otherwise)
        assert await granted(limiter, request("a", "b", "c", tokens=3), request("c")) == [True, False]
        assert link.up
    assert await granted(otherwise, request("a", tokens=3)) == [True], "that was never asked"


async def test_while_redis_is_away_the_buckets_are_the_others(
    redis_server: RedisServer, otherwise: MemoryRateLimiter
) -> None:
    """Each of the two keeps the limit, and neither forgets: twice the burst, however often Redis comes and goes."""
    total = 0
    with FaultProxy(redis_server) as proxy:
        async with reaching(proxy.url) as link:
            limiter = RedisRateLimiter(link, otherwise)
            for behaviour in (Behaviour.RESET, Behaviour.BLACK_HOLE, Behaviour.REFUSE):
                await until_up(link)
                total += sum(await granted(limiter, *[request("b")] * 5))
                proxy.behave(behaviour)
                with impatience(link) if behaviour is Behaviour.BLACK_HOLE else nullcontext():
                    total += sum(await granted(limiter, *[request("b")] * 5))
                assert not link.up
                proxy.behave(Behaviour.PASS)
    assert total == 2 * HOURLY.burst


async def test_what_was_cut_off_may_count_in_both_and_never_in_neither(
    redis_server: RedisServer, otherwise: MemoryRateLimiter
) -> None:
    """The script ran, and its answer did not arrive."""
    with FaultProxy(redis_server) as proxy:
        async with reaching(proxy.url) as link:
            limiter = RedisRateLimiter(link, otherwise)
            await limiter.take([request("a")])
            proxy.behave(Behaviour.CUT)
            assert await granted(limiter, request("b", tokens=2)) == [True]
            assert await granted(otherwise, request("b", tokens=2)) == [False]
            proxy.behave(Behaviour.PASS)
            await until_up(link)
            assert await granted(limiter, request("b", tokens=2)) == [False]


async def test_an_emptied_server_has_full_buckets(
    link: RedisLink, otherwise: MemoryRateLimiter, redis_server: RedisServer
) -> None:
    limiter = RedisRateLimiter(link, otherwise)
    assert await granted(limiter, request("b", tokens=3), request("b")) == [True, False]
    redis_server.empty()
    assert await granted(limiter, request("b", tokens=3), request("b")) == [True, False]


async def test_to_forget_full_buckets_is_left_to_the_store_behind(
    link: RedisLink, otherwise: MemoryRateLimiter
) -> None:
    limiter = RedisRateLimiter(link, otherwise)
    instant = RateLimit(tokens=1_000_000, per=timedelta(microseconds=1), burst=1)
    await otherwise.take([request("b", limit=instant)])
    await limiter.take([request("b")])
    assert await limiter.prune(limit=10) == 1
    assert await link.call("EXISTS", link.keys.bucket("b"))


async def test_rivals_on_one_server_never_get_more_than_there_is(
    link: RedisLink, otherwise: MemoryRateLimiter
) -> None:
    limiter = RedisRateLimiter(link, otherwise)
    answers = await asyncio.gather(*(granted(limiter, *[request("a", "b")] * 2) for _ in range(50)))
    assert sum(map(sum, answers)) == HOURLY.burst


TAKER = """
import asyncio, sys
from datetime import timedelta
from schedora.adapters.redis.link import RedisLink
from schedora.adapters.redis.rate_limiter import RedisRateLimiter
from schedora.domain.limits import RateLimit, Take, TokenRequest

async def main(url, tokens, burst, count):
    limit = RateLimit(tokens=int(tokens), per=timedelta(seconds=1), burst=int(burst))
    request = TokenRequest((Take(bucket="b", limit=limit), Take(bucket="a", limit=limit)))
    patience = timedelta(seconds=30)
    async with RedisLink(url, command_timeout=patience, connect_timeout=patience) as link:
        await link.until_up()
        limiter = RedisRateLimiter(link, None)
        async def taking():
            return sum([(await limiter.take([request]))[0].granted for _ in range(int(count))])
        print(sum(await asyncio.gather(*(taking() for _ in range(4)))))

asyncio.run(main(*sys.argv[1:]))
"""


async def test_processes_together_get_no_more_than_burst_and_what_came(
    link: RedisLink, redis_server: RedisServer
) -> None:
    began = await now_us(link)
    takers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", TAKER, redis_server.url, "500", "10", "300",
            stdout=asyncio.subprocess.PIPE, env=unconfigured_environment(),
        )
        for _ in range(2)
    ]  # fmt: skip
    answers = [await taker.communicate() for taker in takers]
    assert [taker.returncode for taker in takers] == [0, 0]
    span_us = await now_us(link) - began
    total = sum(int(out) for out, _ in answers)
    assert 10 <= total <= 10 + 500 * span_us / 1_000_000


async def now_us(link: RedisLink) -> int:
    seconds, microseconds = await link.call("TIME")
    return int(seconds) * 1_000_000 + int(microseconds)
