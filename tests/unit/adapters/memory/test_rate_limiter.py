"""What the memory store keeps of token buckets."""

import pytest

from schedora.adapters.memory.rate_limiter import MemoryRateLimiter
from schedora.adapters.memory.store import MemoryStore
from schedora.application.errors import StoreUnavailable
from schedora.domain.limits import RateLimit, Take, TokenRequest
from tests.builders import HOUR
from tests.contract.memory import a_memory_store, memory_stores

HOURLY = RateLimit(tokens=1, per=HOUR, burst=3)


def request(bucket: str, tokens: int) -> TokenRequest:
    return TokenRequest((Take(bucket=bucket, limit=HOURLY, tokens=tokens),))


def kept(store: MemoryStore) -> set[str]:
    with store.committed() as tables:
        return set(tables.buckets)


async def test_full_buckets_are_forgotten_as_many_as_asked_for() -> None:
    store = a_memory_store()
    limiter = MemoryRateLimiter(store)
    await limiter.take([request("a", 1), request("b", 1), request("c", 3)])
    await memory_stores(store).age_buckets(2 * HOUR)
    assert await limiter.prune(limit=1) == 1
    assert len(kept(store)) == 2
    assert await limiter.prune(limit=10) == 1
    assert kept(store) == {"c"}


async def test_nothing_is_taken_when_the_store_is_away() -> None:
    store = a_memory_store()
    limiter = MemoryRateLimiter(store)
    store.faults.fail("rate_limiter.take")
    with pytest.raises(StoreUnavailable):
        await limiter.take([request("a", 3)])
    assert kept(store) == set()
