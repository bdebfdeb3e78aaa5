"""Redis servers for the tests that want one, and the PostgreSQL that it stands before."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from schedora.adapters.postgres.engine import Database
from schedora.adapters.redis import wakeup as wakeup_module
from tests.programs import PATIENCE_SECONDS
from tests.redis.cluster import RedisCluster
from tests.redis.servers import RedisServer


@pytest.fixture(autouse=True)
def _plain_logs() -> None:
    """Lines go to the standard library, as in a program that has not set structlog up; other tests may have."""
    structlog.reset_defaults()


@pytest.fixture
def unhurried_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the machine is slow is no sign that any is lost, nor that a worker has gone."""
    for span in ("_SLOW_SECONDS", "_PROBE_SECONDS", "_FIRST_PROOF_SECONDS", "_LEAVE_SECONDS"):
        monkeypatch.setattr(wakeup_module, span, PATIENCE_SECONDS)
    for span in ("_SILENCE_MS", "_LIFETIME_MS"):
        monkeypatch.setattr(wakeup_module, span, PATIENCE_SECONDS * 1_000)


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    """Open, migrated, empty."""
    async with Database(migrated_url) as opened:
        yield opened


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """Running. Whatever of ours is there in the end goes away by itself."""
    with RedisServer(tmp_path) as server:
        yield server
        if server.runs:
            assert server.lasting("{*") == []


@pytest.fixture(scope="session")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with RedisCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def cluster(_cluster: RedisCluster) -> Iterator[RedisCluster]:
    """Sound and empty. One for all tests: it takes seconds to become so."""
    yield _cluster
    _cluster.repair()


@pytest.fixture
def guarded_server(tmp_path: Path) -> Iterator[RedisServer]:
    """Running, and asking for a password."""
    with RedisServer(tmp_path, password="open-sesame") as server:
        yield server
