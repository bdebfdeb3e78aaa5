"""Health, for people and for probes."""

from pathlib import Path

import orjson
import psycopg
import pytest

from schedora.adapters.postgres.embedded import start_embedded
from schedora.adapters.postgres.upgrade import migrate
from tests.acceptance.api import Api, problem
from tests.acceptance.server import Document, running
from tests.databases import empty_database
from tests.programs import Program, unconfigured_environment

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


def test_the_doctor_does_every_check_of_a_server_that_runs(api: Api) -> None:
    answer = api.get("/health/deep")
    assert answer.status_code == 200
    diagnosis = answer.json()["data"]
    assert [check for check in diagnosis["checks"] if check["not_done"] is not None] == []
    assert {finding["code"] for finding in diagnosis["findings"]} & {"database_away", "schema_none"} == set()
    assert diagnosis["status"] in {"ok", "warning", "critical"}


def doctor(directory: Path, *arguments: str, **environment: str) -> tuple[int, Document]:
    """How the command ends that asks for a document."""
    program = Program(
        "doctor",
        "--json",
        *arguments,
        environment=unconfigured_environment(**environment),
        directory=directory,
    )
    status = program.ended()
    return status, orjson.loads(program.out.read_bytes())


def test_the_doctor_examines_directly_what_no_process_would_start_on(
    postgres_server_url: str, tmp_path: Path
) -> None:
    with empty_database(postgres_server_url) as url:
        status, found = doctor(tmp_path, "--direct", DATABASE_URL=url)
        assert status == 1
        codes = {finding["code"] for finding in found["findings"] if finding["severity"] != "ok"}
        assert "schema_none" in codes
        with psycopg.connect(url) as connection:
            tables = connection.execute("select from pg_class where relnamespace = 'public'::regnamespace")
            assert tables.fetchall() == [], "it makes none"


def test_the_doctor_joins_an_embedded_server_and_starts_one_that_nobody_runs(tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = start_embedded(data)
    migrate(server.url)
    with psycopg.connect(server.url) as connection:
        for _ in range(2):
            assert doctor(tmp_path, "--direct", "--data-dir", str(data))[0] == 0
            connection.execute("select")  # it was left running
    server.release()
    assert not (data / "postgres" / "postmaster.pid").exists()
    status, found = doctor(tmp_path, "--direct", "--data-dir", str(data))
    assert (status, found["status"]) == (0, "ok")
    assert not (data / "postgres" / "postmaster.pid").exists()
