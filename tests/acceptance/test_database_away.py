"""The database goes away and comes back."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import pytest

from tests.acceptance.api import Api, fresh, problem, step, submission
from tests.acceptance.server import Server, running
from tests.databases import empty_database
from tests.programs import until

# Two processes that change the same role at once are in the way of each other.
pytestmark = pytest.mark.xdist_group("database_away")

PASSWORD = "open-sesame"
NOBODY = "0198c0de-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def database(postgres_server_url: str) -> Iterator[str]:
    with empty_database(postgres_server_url) as url:
        parts = urlsplit(url)
        with psycopg.connect(postgres_server_url, autocommit=True) as connection:
            connection.execute(f"ALTER ROLE {parts.username} PASSWORD '{PASSWORD}'".encode())
        yield urlunsplit(
            parts._replace(netloc=f"{parts.username}:{PASSWORD}@{parts.netloc.rpartition('@')[2]}")
        )


@pytest.fixture(scope="module")
def lonely(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("lonely")
    with running(directory, "up", DATABASE_URL=database) as server:
        yield server


@pytest.fixture(scope="module")
def alone(lonely: Server) -> Iterator[Api]:
    api = Api(lonely.url)
    yield api
    api.close()


@contextmanager
def away(server_url: str, database: str) -> Iterator[None]:
    """No connection to the database is left, and none comes to be, while the block runs."""
    name = urlsplit(database).path.removeprefix("/")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        try:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
            yield
        finally:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


def unavailable(answer: httpx.Response) -> None:
    problem(answer, 503)
    assert int(answer.headers["retry-after"]) >= 1


def test_requests_are_told_when_to_come_again(alone: Api, database: str, postgres_server_url: str) -> None:
    before = alone.submit(type="echo", scheduled_at="2100-01-01T00:00:00Z")
    body = submission()
    with away(postgres_server_url, database):
        unavailable(alone.post("/jobs", body))
        unavailable(alone.post("/jobs/batch", {"jobs": [body]}))
        unavailable(alone.post("/workflows", {"name": fresh("flow"), "jobs": [step("a")]}))
        for path in (f"/jobs/{NOBODY}", "/jobs", f"/jobs/{NOBODY}/events", "/dlq", "/workflows", f"/workflows/{NOBODY}",
                     f"/workflows/{NOBODY}/status", "/workers", "/queue/stats"):  # fmt: skip
            unavailable(alone.get(path))
        for path in (f"/jobs/{NOBODY}/cancel", f"/jobs/{NOBODY}/retry", "/dlq/requeue", f"/dlq/{NOBODY}/requeue",
                     f"/workflows/{NOBODY}/cancel", f"/workflows/{NOBODY}/retry", "/queue/purge", "/queues/x/pause",
                     "/queues/x/resume", "/workers/x/drain"):  # fmt: skip
            unavailable(alone.post(path))
        unavailable(alone.delete(f"/dlq/{NOBODY}"))
        unavailable(alone.post("/workers/x/heartbeat", {"cpu_percent": 1, "memory_percent": 1}))
        for prefix in ("", "/api/v1"):
            health = alone.http.get(f"{prefix}/health")
            assert (health.status_code, health.json()["data"]["status"]) == (503, "unhealthy")
            assert alone.http.get(f"{prefix}/health/live").status_code == 200
            assert alone.http.get(f"{prefix}/health/ready").status_code == 503
        # What can be told without a database is told all the same.
        assert "http_requests_total" in alone.http.get("/metrics").text
        assert alone.http.get("/docs").status_code == 200
        problem(alone.post("/jobs", {**body, "priority": 11}), 422)

    recovered = until(lambda: alone.post("/jobs", body).status_code in {201, 409}, "the database to be back")
    assert recovered
    assert alone.job(before["job_id"]) == before
    until(lambda: alone.http.get("/health").status_code == 200, "the server to be healthy again")
    assert alone.ended(alone.submit(type="echo", payload={"n": 1})["job_id"])["result"] == {"n": 1}


def test_who_waits_is_told_too(alone: Api, database: str, postgres_server_url: str) -> None:
    job = alone.submit()
    until(lambda: alone.http.get("/health").status_code == 200, "the server to be healthy")
    with away(postgres_server_url, database):
        unavailable(alone.get(f"/jobs/{job['job_id']}", wait=5))
    assert until(lambda: alone.get(f"/jobs/{job['job_id']}").status_code == 200, "the database to be back")


def test_a_broken_connection_is_noticed_by_nobody(
    alone: Api, database: str, postgres_server_url: str
) -> None:
    name = urlsplit(database).path.removeprefix("/")
    for _ in range(3):
        with psycopg.connect(postgres_server_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
        answer = alone.get("/jobs")
        assert answer.status_code in {200, 503}
        until(lambda: alone.get("/jobs").status_code == 200, "a new connection")


def test_the_log_tells_why_but_names_no_password(
    lonely: Server, alone: Api, database: str, postgres_server_url: str
) -> None:
    with away(postgres_server_url, database):
        assert lonely.logged(message="the store is away", level="warning")["error"]
    assert PASSWORD not in lonely.program.err.read_text() + lonely.program.out.read_text()
    until(lambda: alone.http.get("/health").status_code == 200, "the server to be healthy again")
