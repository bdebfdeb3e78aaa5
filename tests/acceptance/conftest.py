"""One server with a worker for all of these tests, on a database of its own."""

from collections.abc import Iterator

import pytest

from tests.acceptance.api import Api
from tests.acceptance.server import Server, running
from tests.databases import empty_database
from tests.programs import until


@pytest.fixture(scope="session")
def acceptance_database(postgres_server_url: str) -> Iterator[str]:
    with empty_database(postgres_server_url) as url:
        yield url


@pytest.fixture(scope="session")
def server(acceptance_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("server")
    with running(
        directory,
        "up",
        "--app",
        "tests.acceptance.handlers:app",
        DATABASE_URL=acceptance_database,
        WORKER_SHUTDOWN_TIMEOUT="1",
        LOG_LEVEL="DEBUG",
        METRICS_LABEL_VALUES_MAX="100000",  # these tests make many queues
    ) as server:
        yield server


@pytest.fixture(scope="session")
def api(server: Server) -> Iterator[Api]:
    made = Api(server.url)
    until(lambda: made.get("/workers").json()["workers"], "the server's worker to be registered")
    yield made
    made.close()
