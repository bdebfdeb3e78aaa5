"""Redis servers for the tests that want one, and the PostgreSQL that it stands before."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from schedora.adapters.postgres.engine import Database
from tests.databases import copy_of, migrated_template
from tests.redis.cluster import RedisCluster
from tests.redis.servers import RedisServer


@pytest.fixture(autouse=True)
def _plain_logs() -> None:
    """Lines go to the standard library, as in a program that has not set structlog up; other tests may have."""
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def migrated_name(postgres_server_url: str) -> Iterator[str]:
    """The name of a migrated database that stays empty."""
    with migrated_template(postgres_server_url) as name:
        yield name


@pytest.fixture
async def database(postgres_server_url: str, migrated_name: str) -> AsyncIterator[Database]:
    """Open, migrated, empty."""
    with copy_of(postgres_server_url, migrated_name) as url:
        async with Database(url) as opened:
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
