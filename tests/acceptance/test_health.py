"""Health, for people and for probes."""

from pathlib import Path

import pytest

from tests.acceptance.api import Api, problem
from tests.acceptance.server import running

BOTH = pytest.mark.parametrize("prefix", ["", "/api/v1"])


@BOTH
def test_a_healthy_system(api: Api, prefix: str) -> None:
    answer = api.http.get(f"{prefix}/health")
    assert answer.status_code == 200
    assert answer.json().keys() == {"data"}
    data = answer.json()["data"]
    assert data.keys() == {"status", "database", "redis", "workers"}
    assert data["status"] == "healthy"
    assert data["workers"].keys() == {"total", "active", "stale"}
    assert data["workers"]["active"] >= 1


@BOTH
@pytest.mark.parametrize("probe", ["live", "ready"])
def test_probes(api: Api, prefix: str, probe: str) -> None:
    answer = api.http.get(f"{prefix}/health/{probe}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert api.http.head(f"{prefix}/health/{probe}").status_code == 200


def test_an_unknown_probe(api: Api) -> None:
    problem(api.http.get("/health/dead"), 404)


def test_without_redis_the_system_is_degraded_and_works(acceptance_database: str, tmp_path: Path) -> None:
    with running(
        tmp_path, "api", DATABASE_URL=acceptance_database, REDIS_URL="redis://127.0.0.1:1"
    ) as server:
        api = Api(server.url)
        answer = api.http.get("/health")
        assert (answer.status_code, answer.json()["data"]["status"]) == (200, "degraded")
        assert api.http.get("/health/ready").status_code == 200
        assert api.job(api.submit()["job_id"])["status"] == "PENDING"
        api.close()
