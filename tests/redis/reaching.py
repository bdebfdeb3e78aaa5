"""Links that tell a server that is away from a machine that is busy with tests."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any

from schedora.adapters.redis.link import RedisLink
from tests.programs import PATIENCE_SECONDS

PATIENCE = timedelta(seconds=30)
"""Who is silent for less may be waiting for the processor."""
IMPATIENCE = timedelta(seconds=0.1)
"""For tests that wait for it to be over."""
SILENT = "does not answer in time"
"""Why Redis is away that is silent for longer."""


def a_link(url: str, **options: Any) -> RedisLink:
    """One that is patient, not open yet."""
    return RedisLink(url, command_timeout=PATIENCE, connect_timeout=PATIENCE, **options)


@asynccontextmanager
async def reaching(url: str, **options: Any) -> AsyncIterator[RedisLink]:
    """A patient one that is up."""
    async with a_link(url, **options) as link:
        await until_up(link)
        yield link


@asynccontextmanager
async def refused(url: str) -> AsyncIterator[RedisLink]:
    """A patient one whose first attempt has failed."""
    async with a_link(url) as link:
        await asyncio.wait_for(link._tried.wait(), PATIENCE_SECONDS)
        assert not link.up
        yield link


async def until_up(link: RedisLink) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await link.until_up()


@contextmanager
def impatience(*links: RedisLink) -> Iterator[None]:
    """Within it a server that is silent is soon away. To be left before the server is well again: then a busy machine
    is no trouble once more.
    """
    _set_patience(links, IMPATIENCE)
    try:
        yield
    finally:
        _set_patience(links, PATIENCE)


def noticing(link: RedisLink, why: str) -> AbstractContextManager[None]:
    """Within it Redis is away for this reason. Silence takes impatience to be noticed; all else is noticed at once."""
    return impatience(link) if why == SILENT else nullcontext()


def _set_patience(links: tuple[RedisLink, ...], patience: timedelta) -> None:
    for link in links:
        link._command_timeout = patience
        link._connections._command_timeout = patience
        link._connections._connect_timeout = patience
