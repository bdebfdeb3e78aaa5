"""Availability without hurry, whoever submits, and a server that may be cut off."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from schedora.adapters.redis import worker_availability as availability_module
from tests.programs import PATIENCE_SECONDS
from tests.redis.available_workers import (
    LONG_SECONDS,
    NotedLink,
    Passing,
    a_noted_link,
)
from tests.redis.proxy import FaultProxy
from tests.redis.reaching import PATIENCE
from tests.redis.servers import RedisServer


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is given up because the machine is busy, nor made again by itself."""
    for span in ("_PATIENCE_SECONDS", "_LEAVE_SECONDS"):
        monkeypatch.setattr(availability_module, span, PATIENCE_SECONDS)
    # Tests let it pass: less than what a link may take to connect.
    monkeypatch.setattr(availability_module, "_HOLD_SECONDS", PATIENCE.total_seconds() / 2)
    monkeypatch.setattr(availability_module, "_REPEAT_SECONDS", LONG_SECONDS)
    monkeypatch.setattr(availability_module, "_LIFE_MS", LONG_SECONDS * 1_000)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Availability is published again at once."""
    monkeypatch.setattr(availability_module, "_REPEAT_SECONDS", 0.01)


@pytest.fixture
async def passing() -> Passing:
    return Passing(asyncio.get_running_loop())


@pytest.fixture
async def link(redis_server: RedisServer) -> AsyncIterator[NotedLink]:
    """Of whoever submits."""
    async with a_noted_link(redis_server.url) as link:
        yield link


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[FaultProxy]:
    with FaultProxy(redis_server) as proxy:
        yield proxy
