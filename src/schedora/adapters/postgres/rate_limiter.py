"""Rate limits that all processes share: one token bucket a name."""

from collections.abc import Sequence
from itertools import accumulate

import asyncpg

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.statements import load, written
from schedora.application.errors import LockConflict
from schedora.domain.ids import DEFAULT_TENANT
from schedora.domain.limits import Decision, TokenBatch, TokenRequest

ATTEMPTS_MAX = 10
"""Each but the first because somebody else has made a bucket that was not there; pruned, it may be made again."""

_PRUNE = written("""
delete from token_buckets b
where b.ctid = any(array(
    select f.ctid
    from token_buckets f
    -- Not at once: whatever is used again and again would come and go.
    where f.full_at < now() - interval '1 minute'
    limit :limit::int
    for update skip locked
))
returning b.name
""")


class PostgresRateLimiter:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, requests: Sequence[TokenRequest]) -> list[Decision]:
        batch = TokenBatch(tuple(requests))
        return batch.decisions(await self._waits_us(batch) if batch.buckets else [0] * len(batch.possible))

    async def prune(self, *, limit: int) -> int:
        return len(await self._database.fetch(_PRUNE, limit=limit))

    async def _waits_us(self, batch: TokenBatch) -> list[int]:
        names = batch.buckets
        places = {name: place for place, name in enumerate(names, start=1)}
        takes = [take for request in batch.possible for take in request.takes]
        costs = [take.limit.refill(take.tokens) for take in takes]
        values = {
            "names": names,
            "first": list(accumulate((len(request.takes) for request in batch.possible), initial=1)),
            "bucket": [places[take.bucket] for take in takes],
            "parts": [take.limit.parts for take in takes],
            "cost_us": [cost.us for cost in costs],
            "cost_rest": [cost.rest for cost in costs],
            "capacity_us": [take.limit.capacity.us for take in takes],
            "capacity_rest": [take.limit.capacity.rest for take in takes],
        }
        for _ in range(ATTEMPTS_MAX):
            try:
                rows = await self._database.fetch(load("take_tokens"), tenant_id=DEFAULT_TENANT, **values)
            except asyncpg.UniqueViolationError:
                continue
            return [row["wait_us"] for row in rows]
        raise LockConflict(f"others made the same buckets {ATTEMPTS_MAX} times in a row")
