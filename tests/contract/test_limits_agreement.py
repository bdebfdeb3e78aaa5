"""The rule is told three times: in Python, in SQL and in Lua. All answer alike, whatever is asked of them and when."""

from collections.abc import Sequence
from datetime import timedelta
from fractions import Fraction
from itertools import count
from math import ceil

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schedora.adapters.postgres.engine import Database
from schedora.adapters.redis.link import RedisLink
from schedora.domain.limits import Decision, RateLimit, Take, TokenRequest
from tests.contract.memory import a_memory_store, memory_stores
from tests.contract.postgres import postgres_stores
from tests.contract.redis import redis_stores
from tests.contract.stores import Stores

GRAIN_US = Fraction(100_000_000, 3)
"""All that these limits decide is apart by this much or not at all: clocks that differ by less change no answer."""
LONG_AGO = timedelta(days=1_000)
"""Then all buckets are full."""
MICROSECOND = timedelta(microseconds=1)
CHANGING = [
    RateLimit(tokens=1, per=timedelta(seconds=100), burst=1),
    RateLimit(tokens=1, per=timedelta(seconds=300), burst=4),
    RateLimit(tokens=10, per=timedelta(seconds=1_000), burst=20),
]
THIRDS = RateLimit(tokens=3, per=timedelta(seconds=100), burst=7)
"""Alone, for what one limit leaves of a microsecond another takes for a whole one."""

Step = timedelta | Sequence[Sequence[tuple[str, RateLimit, int]]]

changing = st.tuples(st.sampled_from("abc"), st.sampled_from(CHANGING), st.integers(1, 21))
thirds = st.tuples(st.sampled_from("xyz"), st.just(THIRDS), st.integers(1, 8))
small = st.tuples(st.sampled_from("abcxyz"), st.integers(1, 3)).map(
    lambda asked: (asked[0], CHANGING[2] if asked[0] in "abc" else THIRDS, asked[1])
)
requests = st.lists(st.one_of(small, small, changing, thirds), max_size=4, unique_by=lambda asked: asked[0])
batches = st.lists(requests, max_size=6)


def mixed(low: int, high: int) -> st.SearchStrategy[list[Step]]:
    """Batches, and clocks that go by so many hundreds of seconds in between."""
    spans = st.integers(low, high).map(lambda hundreds: timedelta(seconds=100 * hundreds))
    return st.lists(st.one_of(batches, batches, spans), max_size=12)


# Back first: a store may have forgotten by then what was full before.
steps = st.builds(lambda back, on: [*back, *on], mixed(-30, 0), mixed(0, 60))

numbers = count()


def seen(decision: Decision) -> tuple[bool, int | None]:
    """What is left of it when a few seconds more or less make no difference."""
    if decision.retry_after is None:
        return decision.granted, None
    # Which is told in whole microseconds, rounded up.
    return decision.granted, ceil((decision.retry_after // MICROSECOND - 1) / GRAIN_US)


@pytest.fixture
def sides(database: Database, link: RedisLink) -> dict[str, Stores]:
    return {
        "memory": memory_stores(a_memory_store()),
        "postgres": postgres_stores(database),
        "redis": redis_stores(database, link),
    }


@given(steps=steps)
@example(steps=[[[("a", CHANGING[0], 1)]], timedelta(seconds=-100_000), [[("a", CHANGING[0], 1)]] * 2])
@example(steps=[[[("x", THIRDS, 7), ("y", THIRDS, 7)], [("x", THIRDS, 1)]], timedelta(seconds=100)] * 3)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_all_three_answer_alike(sides: dict[str, Stores], steps: list[Step]) -> None:
    example = next(numbers)
    answers: dict[str, list[object]] = {}
    for name, stores in sides.items():
        answers[name] = []
        for step in steps:
            if isinstance(step, timedelta):
                await stores.age_buckets(step)
                continue
            batch = [
                TokenRequest(
                    tuple(
                        Take(bucket=f"{example}:{bucket}", limit=limit, tokens=tokens)
                        for bucket, limit, tokens in asked
                    )
                )
                for asked in step
            ]
            answers[name].append([seen(decision) for decision in await stores.rate_limiter.take(batch)])
        await stores.age_buckets(LONG_AGO)
        await stores.rate_limiter.prune(limit=100)
    assert answers["memory"] == answers["postgres"]
    assert answers["memory"] == answers["redis"]
