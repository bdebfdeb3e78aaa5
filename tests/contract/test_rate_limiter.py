"""Rate limits that all processes share."""

import asyncio
from datetime import timedelta

import pytest

from schedora.domain.errors import InvalidField
from schedora.domain.limits import (
    BUCKET_LENGTH_MAX,
    GRANTED,
    IMPOSSIBLE,
    TAKES_MAX,
    TOKENS_MAX,
    Decision,
    RateLimit,
    Take,
    TokenRequest,
)
from tests.builders import HOUR, SECOND
from tests.contract.stores import Stores

HOURLY = RateLimit(tokens=1, per=HOUR, burst=3)
"""So slow that nothing comes while a test runs."""
DAY = 24 * HOUR


def request(tokens: int = 1, bucket: str = "b", limit: RateLimit = HOURLY) -> TokenRequest:
    return TokenRequest((Take(bucket=bucket, limit=limit, tokens=tokens),))


def several(*takes: tuple[str, int], limit: RateLimit = HOURLY) -> TokenRequest:
    return TokenRequest(tuple(Take(bucket=bucket, limit=limit, tokens=tokens) for bucket, tokens in takes))


async def granted(stores: Stores, *requests: TokenRequest) -> list[bool]:
    return [decision.granted for decision in await stores.rate_limiter.take(requests)]


def about(decision: Decision, span: timedelta) -> bool:
    """Refused for so long, but for what has passed since the test began."""
    assert decision.retry_after is not None
    return not decision.granted and span - 60 * SECOND < decision.retry_after <= span


async def test_a_burst_is_granted_at_once_and_then_no_more(stores: Stores) -> None:
    take = stores.rate_limiter.take
    assert await take([request(), request(2)]) == [GRANTED, GRANTED]
    one, two, three = await take([request(), request(2), request(3)])
    assert about(one, HOUR)
    assert about(two, 2 * HOUR)
    assert about(three, 3 * HOUR)


async def test_what_is_refused_takes_nothing(stores: Stores) -> None:
    assert await granted(stores, request(2), request(2), request(1)) == [True, False, True]


async def test_tokens_come_one_by_one_and_never_more_than_the_burst(stores: Stores) -> None:
    assert await granted(stores, request(3)) == [True]
    for _ in range(2):
        await stores.age_buckets(HOUR)
        assert await granted(stores, request(), request()) == [True, False]
    await stores.age_buckets(100 * HOUR)
    assert await granted(stores, request(3), request()) == [True, False]


async def test_a_part_of_a_token_is_none_and_is_not_lost(stores: Stores) -> None:
    await stores.rate_limiter.take([request(3)])
    for span, enough in ((HOUR / 2, False), (HOUR / 2, True), (HOUR / 2, False), (HOUR / 2, True)):
        await stores.age_buckets(span)
        assert await granted(stores, request()) == [enough]


async def test_it_would_be_granted_after_that_time(stores: Stores) -> None:
    await stores.rate_limiter.take([request(3)])
    await stores.age_buckets(HOUR / 4)
    [decision] = await stores.rate_limiter.take([request(2)])
    assert about(decision, 7 * HOUR / 4)
    assert decision.retry_after is not None
    await stores.age_buckets(decision.retry_after)
    assert await granted(stores, request(2), request()) == [True, False]


async def test_buckets_have_nothing_to_do_with_each_other(stores: Stores) -> None:
    names = [
        "queue:mail",
        "queue:Mail",
        "queue:mail ",
        "ключ",
        "{a}:*?[x]",
        "%s",
        "\n",
        "x" * BUCKET_LENGTH_MAX,
    ]
    assert await granted(stores, *(request(3, bucket=name) for name in names)) == [True] * len(names)
    assert await granted(stores, *(request(1, bucket=name) for name in names)) == [False] * len(names)


async def test_of_several_buckets_all_or_nothing(stores: Stores) -> None:
    both = several(("a", 2), ("b", 1))
    assert await granted(stores, both, both, request(1, "a"), request(2, "b")) == [True, False, True, True]
    [decision] = await stores.rate_limiter.take([several(("a", 1), ("b", 2), ("c", 3))])
    assert about(decision, 2 * HOUR), "the longest wait of all"
    assert await granted(stores, request(3, "c")) == [True]


async def test_more_than_a_bucket_holds_is_never_granted_and_takes_nothing(stores: Stores) -> None:
    impossible = several(("a", 1), ("b", 4))
    decisions = await stores.rate_limiter.take([impossible, request(3, "a"), request(3, "b")])
    assert decisions == [IMPOSSIBLE, GRANTED, GRANTED]
    assert await stores.rate_limiter.take([impossible]) == [IMPOSSIBLE]


async def test_nothing_asked_is_granted(stores: Stores) -> None:
    assert await stores.rate_limiter.take([]) == []
    assert await stores.rate_limiter.take([TokenRequest(())]) == [GRANTED]
    assert await granted(stores, request(3), TokenRequest(()), request()) == [True, True, False]


async def test_a_batch_too_large_is_refused_and_the_largest_is_not(stores: Stores) -> None:
    limit = RateLimit(tokens=1, per=HOUR, burst=TAKES_MAX)
    assert all(await granted(stores, *[request(limit=limit)] * TAKES_MAX))
    assert await granted(stores, request(limit=limit)) == [False]
    assert all(await granted(stores, *(request(bucket=f"b{n}") for n in range(TAKES_MAX))))
    with pytest.raises(InvalidField, match="at most 1000 takes"):
        await stores.rate_limiter.take([request()] * (TAKES_MAX + 1))


async def test_a_wider_limit_is_in_force_at_once(stores: Stores) -> None:
    await stores.rate_limiter.take([request(3)])
    quick = RateLimit(tokens=1, per=timedelta(minutes=1), burst=3)
    [decision] = await stores.rate_limiter.take([request(limit=quick)])
    assert decision.retry_after is not None
    assert decision.retry_after <= timedelta(minutes=1)
    await stores.age_buckets(timedelta(minutes=1))
    assert await granted(stores, request(limit=quick)) == [True]


async def test_a_narrower_limit_is_in_force_at_once(stores: Stores) -> None:
    limit = RateLimit(tokens=10, per=HOUR, burst=10)
    assert await granted(stores, request(10, limit=limit)) == [True]
    one, two, three = await stores.rate_limiter.take([request(1), request(2), request(3)])
    assert (one.granted, two.granted, three.granted) == (True, False, False)
    assert about(two, HOUR)


async def test_a_clock_set_back_costs_one_filling_and_no_more(stores: Stores) -> None:
    """Whoever wrote the bucket had a clock that was ahead."""
    await stores.rate_limiter.take([request()])
    await stores.age_buckets(-1000 * HOUR)
    [decision] = await stores.rate_limiter.take([request()])
    assert about(decision, HOUR)
    await stores.age_buckets(HOUR)
    assert await granted(stores, request(), request()) == [True, False]


@pytest.mark.parametrize(
    "limit",
    [
        RateLimit(tokens=3, per=SECOND * 1000, burst=7),
        RateLimit(tokens=999_983, per=DAY, burst=7),
        RateLimit(tokens=TOKENS_MAX, per=timedelta(days=366), burst=TOKENS_MAX),
        RateLimit(tokens=1, per=timedelta(days=366), burst=1),
        RateLimit(tokens=TOKENS_MAX - 1, per=timedelta(microseconds=1), burst=TOKENS_MAX),
    ],
    ids=lambda limit: f"{limit.tokens} per {limit.per}",
)
async def test_limits_at_the_edges(stores: Stores, limit: RateLimit) -> None:
    first, second = await stores.rate_limiter.take([request(limit.burst, limit=limit)] * 2)
    assert first == GRANTED
    assert second.retry_after == timedelta(microseconds=limit.capacity.us + (limit.capacity.rest > 0))


async def test_rivals_never_get_more_than_there_is(stores: Stores) -> None:
    """All at once, also for a bucket that is not there yet, and in the order that suits least."""
    limit = RateLimit(tokens=1, per=HOUR, burst=20)
    forward = several(("a", 1), ("b", 1), ("c", 1), limit=limit)
    backward = several(("c", 1), ("b", 1), ("a", 1), limit=limit)
    answers = await asyncio.gather(
        *(granted(stores, *[forward if number % 2 else backward] * 3) for number in range(30))
    )
    assert sum(map(sum, answers)) == 20
    for bucket in "abc":
        assert await granted(stores, request(1, bucket, limit)) == [False]


async def test_to_forget_full_buckets_changes_nothing(stores: Stores) -> None:
    await stores.rate_limiter.take([request(1, "a"), request(1, "b"), request(3, "c")])
    assert await stores.rate_limiter.prune(limit=10) == 0
    await stores.age_buckets(2 * HOUR)
    for _ in range(3):
        await stores.rate_limiter.prune(limit=1)
    assert await granted(stores, request(3, "a"), request(3, "b"), request(3, "c")) == [True, True, False]
    assert await granted(stores, request(2, "c")) == [True]


async def test_a_limit_of_other_parts_takes_over_what_the_bucket_lacks(stores: Stores) -> None:
    thirds, sevenths = (RateLimit(tokens=tokens, per=HOUR, burst=10) for tokens in (3, 7))
    assert await granted(stores, request(4, limit=thirds)) == [True]
    for limit in (sevenths, HOURLY, thirds):
        await stores.age_buckets(HOUR)
        assert await granted(stores, request(1, limit=limit)) == [True]
