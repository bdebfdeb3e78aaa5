"""Whether Redis answers."""

import asyncio

from redis.asyncio import Redis
from redis.exceptions import RedisError

from schedora.application.errors import StoreUnavailable

TIMEOUT_SECONDS = 1.0


class RedisHealth:
    def __init__(self, url: str) -> None:
        self._url = url

    async def check(self) -> None:
        # A client a check: rare, and it carries nothing over from one event loop or outage to the next.
        client = Redis.from_url(
            self._url, socket_connect_timeout=TIMEOUT_SECONDS, socket_timeout=TIMEOUT_SECONDS
        )
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS * 2):
                await client.ping()
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailable(f"Redis does not answer: {type(error).__name__}") from error
        finally:
            await client.aclose()
