"""A link that is up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from schedora.adapters.redis.link import RedisLink

PATIENCE = timedelta(seconds=10)
"""A machine that is busy with tests does not count as away."""
BRIEFLY = timedelta(seconds=2)
"""For tests that wait for it to be over."""


@asynccontextmanager
async def reaching(url: str, *, patience: timedelta = PATIENCE) -> AsyncIterator[RedisLink]:
    """Over which a command has so much time."""
    async with RedisLink(url, command_timeout=patience) as link:
        await link.until_up()
        yield link
