"""Signs of life: a key for each incarnation, which expires."""

from collections.abc import Collection
from datetime import timedelta

from schedora.adapters.redis.errors import RedisAway
from schedora.adapters.redis.link import RedisLink
from schedora.domain.ids import IncarnationId

BATCH_MAX = 1_000
"""So many are asked for at once: others wait for no more than a few hundred microseconds."""


class RedisHeartbeats:
    """``lifetime`` is the heartbeat timeout."""

    def __init__(self, link: RedisLink, *, lifetime: timedelta) -> None:
        self._link = link
        self._lifetime_ms = max(1, lifetime // timedelta(milliseconds=1))

    async def beat(self, incarnation: IncarnationId) -> bool:
        try:
            await self._link.call("SET", self._link.keys.heartbeat(incarnation), "1", "PX", self._lifetime_ms)
        except RedisAway:
            return False
        return True

    async def alive(self, incarnations: Collection[IncarnationId]) -> frozenset[IncarnationId]:
        found: list[IncarnationId] = []
        ordered = list(incarnations)
        for start in range(0, len(ordered), BATCH_MAX):
            batch = ordered[start : start + BATCH_MAX]
            try:
                values = await self._link.call("MGET", *map(self._link.keys.heartbeat, batch))
            except RedisAway:
                break
            found += [one for one, value in zip(batch, values, strict=True) if value is not None]
        return frozenset(found)

    async def forget(self, incarnation: IncarnationId) -> None:
        try:
            await self._link.call("DEL", self._link.keys.heartbeat(incarnation))
        except RedisAway:
            return  # it expires
