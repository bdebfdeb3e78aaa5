"""Rate limits that all processes share: one token bucket a name.

While Redis is away its buckets are those of ``otherwise``, which knows nothing of them: full at first, and then as they
were left when Redis was away before. Each of the two keeps the limit by itself. So where Redis goes or comes back, emptied
or not, a bucket may give what it holds once more, and in no span of time more than twice what its limit allows, unless
Redis comes back empty in it several times.
"""

from collections.abc import Iterator, Sequence

from schedora.adapters.redis.errors import RedisAway
from schedora.adapters.redis.link import RedisLink
from schedora.adapters.redis.scripts import load
from schedora.application.ports.rate_limiter import RateLimiter
from schedora.domain.limits import Decision, TokenBatch, TokenRequest


class RedisRateLimiter:
    def __init__(self, link: RedisLink, otherwise: RateLimiter) -> None:
        self._link = link
        self._otherwise = otherwise
        self._script = load("take_tokens")

    async def take(self, requests: Sequence[TokenRequest]) -> list[Decision]:
        batch = TokenBatch(tuple(requests))
        buckets = batch.buckets
        if not buckets:
            return batch.decisions([0] * len(batch.possible))
        keys = [self._link.keys.bucket(name) for name in buckets]
        try:
            waits_us = await self._link.run(self._script, keys, list(_arguments(batch, buckets)))
        except RedisAway:
            return await self._otherwise.take(requests)
        return batch.decisions(waits_us)

    async def prune(self, *, limit: int) -> int:
        """Redis does so by itself."""
        return await self._otherwise.prune(limit=limit)


def _arguments(batch: TokenBatch, buckets: Sequence[str]) -> Iterator[int]:
    places = {name: place for place, name in enumerate(buckets, start=1)}
    for request in batch.possible:
        yield len(request.takes)
        for take in request.takes:
            yield from (places[take.bucket], take.limit.parts)
            yield from take.limit.refill(take.tokens)
            yield from take.limit.capacity
