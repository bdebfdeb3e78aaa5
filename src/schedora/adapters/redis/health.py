"""Whether Redis is there."""

from schedora.adapters.redis.errors import RedisAway
from schedora.adapters.redis.link import RedisLink
from schedora.application.errors import StoreUnavailable


class RedisHealth:
    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def check(self) -> None:
        try:
            await self._link.check()
        except RedisAway as away:
            raise StoreUnavailable(str(away)) from away
