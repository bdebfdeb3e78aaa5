"""Real processes on a real PostgreSQL, and on a real Redis or without."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from tests.databases import Way
from tests.programs import COMMAND, PATIENCE_SECONDS, Program, unconfigured_environment, until
from tests.redis.servers import RedisServer
from tests.tiers import sampled

SWIFT = {
    "WORKER_HEARTBEAT_INTERVAL": "0.3",
    "WORKER_HEARTBEAT_TIMEOUT": "3",
    "WORKER_SHUTDOWN_TIMEOUT": "1",
}
"""Heartbeats as quick as a test wants them, and as patient as a machine needs that is busy with tests."""

with_and_without_redis = pytest.mark.parametrize("cluster", ["alone", "redis"], indirect=True)
"""For what must not depend on whether there is a Redis."""

with_redis_and_at_night_without = pytest.mark.parametrize(
    "cluster", sampled(["redis", "alone"], 2), indirect=True
)
"""The same, where a test marked ``with_and_without_redis`` finds by day what would go wrong without Redis."""


class Cluster:
    """The processes of one test."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self.environment = environment
        self.directory = directory
        self.programs: list[Program] = []
        self.apis: list[Api] = []

    def start(self, *arguments: str, **environment: str) -> Program:
        name = f"{len(self.programs)}-{arguments[0]}"
        program = Program(
            *arguments, environment={**self.environment, **environment}, directory=self.directory, name=name
        )
        self.programs.append(program)
        return program

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
            env={**self.environment, **environment}, cwd=self.directory,
        )  # fmt: skip

    def api(self, program: Program) -> "Api":
        """A client of the API that this program serves."""
        made = Api(program.url())
        self.apis.append(made)
        return made

    def worker(self, name: str, *arguments: str, **environment: str) -> Program:
        command = ("worker", "--app", "tests.e2e.handlers:app", "--worker-id", name, *arguments)
        return self.start(*command, **environment)

    def close(self) -> None:
        for api in self.apis:
            api.http.close()
        for program in self.programs:
            program.ask_to_stop()
        for program in self.programs:
            program.stop()


def swift_environment(**more: str) -> dict[str, str]:
    """That of a user who has configured nothing but quick heartbeats."""
    return unconfigured_environment(**SWIFT, **more)


@contextmanager
def running_cluster(directory: Path, **environment: str) -> Iterator[Cluster]:
    """On the migrated database that is named."""
    made = Cluster(swift_environment(**environment), directory)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def cluster(
    request: pytest.FixtureRequest, migrated_url: str, way: Callable[[str], Way], tmp_path: Path
) -> Iterator[Cluster]:
    """On a migrated database of its own; with a Redis of its own where that is asked for."""
    environment = way(migrated_url).environment
    if getattr(request, "param", "alone") == "alone":
        with running_cluster(tmp_path, **environment) as made:
            yield made
        return
    with (
        RedisServer(tmp_path / "redis") as server,
        running_cluster(tmp_path, **environment, REDIS_URL=server.url) as made,
    ):
        yield made


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Cluster]:
    """With no database given: on the embedded server of a directory of its own."""
    # Not below pytest's own, which each run of pytest closes to the server's account.
    with TemporaryDirectory(prefix="schedora-tests-") as data_dir:
        made = Cluster(swift_environment(SCHEDORA_DATA_DIR=data_dir), tmp_path)
        yield made
        made.close()


class Api:
    """The HTTP API, as a user calls it."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=f"{url}/api/v1", timeout=PATIENCE_SECONDS)

    def submit(self, job_type: str, payload: dict[str, Any], **fields: Any) -> str:
        body = {
            "type": job_type,
            "payload": payload,
            "idempotency_key": os.urandom(8).hex(),
            "retry_base_seconds": 0,
            **fields,
        }
        answer = self.http.post("/jobs", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["data"]["job_id"])

    def job(self, job_id: str) -> dict[str, Any]:
        answer = self.http.get(f"/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["data"]
        return found

    def ended(self, job_id: str) -> dict[str, Any]:
        def end() -> dict[str, Any]:
            answer = self.http.get(f"/jobs/{job_id}", params={"wait": 20})
            job: dict[str, Any] = answer.json()["data"]
            return job if job["status"] in {"SUCCESS", "DEAD", "CANCELED"} else {}

        return until(end, f"job {job_id} to end")

    def workers(self) -> dict[str, str]:
        listed = self.http.get("/workers").json()["workers"]
        return {worker["worker_id"]: worker["status"] for worker in reversed(listed)}

    def metric(self, name: str) -> float:
        text = httpx.get(str(self.http.base_url).replace("/api/v1/", "/metrics")).text
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in text.splitlines()
            if line.startswith((f"{name} ", f"{name}{{"))
        )


@pytest.fixture
def api(cluster: Cluster) -> Api:
    """The API of the cluster."""
    return cluster.api(cluster.start("api", "--port", "0"))
