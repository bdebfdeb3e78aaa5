"""Redis servers for the tests that want one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis.servers import RedisServer


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """Running."""
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def guarded_server(tmp_path: Path) -> Iterator[RedisServer]:
    """Running, and asking for a password."""
    with RedisServer(tmp_path, password="open-sesame") as server:
        yield server
