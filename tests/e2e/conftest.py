"""Real processes on a real PostgreSQL."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60

SWIFT = {
    "WORKER_HEARTBEAT_INTERVAL": "0.3",
    "WORKER_HEARTBEAT_TIMEOUT": "1.5",
    "WORKER_SHUTDOWN_TIMEOUT": "1",
}
"""Heartbeats as quick as a test wants them."""


def until(condition: Callable[[], Any], what: str) -> Any:
    """The first true answer of ``condition``; fails when it does not come."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.02)
    pytest.fail(f"waited in vain for {what}")


class Program:
    """One process of Schedora, with what it says."""

    def __init__(
        self, arguments: tuple[str, ...], environment: dict[str, str], directory: Path, name: str
    ) -> None:
        self.out, self.err = directory / f"{name}.out", directory / f"{name}.err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "schedora.entrypoints.cli.main", *arguments],
                stdout=out,
                stderr=err,
                env=environment,
                cwd=directory,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Its exit status, once it has ended."""
        return self.process.wait(timeout=PATIENCE_SECONDS)

    def url(self) -> str:
        def found() -> str | None:
            if self.process.poll() is not None:
                pytest.fail(f"ended with {self.process.returncode}:\n{self.err.read_text()[-3000:]}")
            match = re.search(r"listens on (http://\S+)", self.out.read_text())
            return match.group(1) if match else None

        return str(until(found, "the process to listen"))


class Cluster:
    """The processes of one test."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self.environment = environment
        self.directory = directory
        self.programs: list[Program] = []
        self.apis: list[Api] = []

    def start(self, *arguments: str, **environment: str) -> Program:
        name = f"{len(self.programs)}-{arguments[0]}"
        program = Program(arguments, {**self.environment, **environment}, self.directory, name)
        self.programs.append(program)
        return program

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "schedora.entrypoints.cli.main", *arguments],
            capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
            env={**self.environment, **environment}, cwd=self.directory,
        )  # fmt: skip

    def api(self, program: Program) -> "Api":
        """A client of the API that this program serves."""
        made = Api(program.url())
        self.apis.append(made)
        return made

    def worker(self, name: str, *arguments: str) -> Program:
        return self.start("worker", "--app", "tests.e2e.handlers:app", "--worker-id", name, *arguments)

    def close(self) -> None:
        for api in self.apis:
            api.http.close()
        for program in self.programs:
            if program.process.poll() is None:
                program.send(signal.SIGCONT)
                program.send(signal.SIGTERM)
        for program in self.programs:
            try:
                program.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                program.process.kill()
                program.process.wait()


def bare_environment(**more: str) -> dict[str, str]:
    """That of this process without what configures Schedora."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in {"PATH", "HOME", "TMPDIR", "LANG"} or name.startswith(("COV", "COVERAGE"))
    }
    return {**kept, "PYTHONPATH": str(ROOT), **SWIFT, **more}


@pytest.fixture
def cluster(database_url: str, tmp_path: Path) -> Iterator[Cluster]:
    """On a migrated database of its own."""
    made = Cluster(bare_environment(DATABASE_URL=database_url), tmp_path)
    assert made.run("migrate").returncode == 0
    yield made
    made.close()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Cluster]:
    """With no database given: on the embedded server of a directory of its own."""
    # Not below pytest's own, which each run of pytest closes to the server's account.
    with TemporaryDirectory(prefix="schedora-tests-") as data_dir:
        made = Cluster(bare_environment(SCHEDORA_DATA_DIR=data_dir), tmp_path)
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
        def end() -> dict[str, Any] | None:
            answer = self.http.get(f"/jobs/{job_id}", params={"wait": 20})
            job: dict[str, Any] = answer.json()["data"]
            return job if job["status"] in {"SUCCESS", "DEAD", "CANCELED"} else None

        found: dict[str, Any] = until(end, f"job {job_id} to end")
        return found

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
