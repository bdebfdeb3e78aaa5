"""PostgreSQL goes away while jobs run, in each way that it can, for longer than workers may be silent: nothing is lost,
nothing runs twice, no worker is declared lost, and everybody goes on by himself.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil
import pytest

from schedora.adapters.postgres.embedded import EmbeddedServer, start_embedded
from schedora.adapters.postgres.embedded.pidfile import find_postmaster
from schedora.adapters.postgres.schema import migrate
from schedora.entrypoints.torture.proxy import BOTH, Direction
from tests.e2e.conftest import SWIFT, Cluster, running_cluster
from tests.programs import Program, until
from tests.proxies import FaultyNetwork, faulty_network

pytestmark = pytest.mark.xdist_group("losing_postgres")

OUTAGE_SECONDS = 2 * float(SWIFT["WORKER_HEARTBEAT_TIMEOUT"])
LONG_JOBS, SHORT_JOBS = 6, 30
AWAY, BACK = '"the store is away', '"the store is back'


class System:
    """API, reaper and two workers, with a network of its own between them and a server of its own."""

    def __init__(self, cluster: Cluster, server: EmbeddedServer, network: FaultyNetwork, notes: Path) -> None:
        self.server = server
        self.network = network
        self._notes = notes
        self.api_program = cluster.start("api", "--port", "0", API_TIMEOUT_SECONDS="3")
        self.api = cluster.api(self.api_program)
        self.reaper = cluster.start("reaper")
        self.workers = [
            cluster.start(
                "worker", "--app", "tests.e2e.outage_handlers:app", "--worker-id", name, NOTES=str(notes)
            )
            for name in ("left", "right")
        ]
        until(lambda: len(self.api.workers()) == len(self.workers), "the workers to be registered")

    @property
    def programs(self) -> list[Program]:
        return [self.api_program, self.reaper, *self.workers]

    def noted(self, what: str) -> Counter[str]:
        text = self._notes.read_text() if self._notes.exists() else ""
        return Counter(line.split()[1] for line in text.splitlines() if line.startswith(what))

    def readiness(self) -> int:
        return self.api.http.get(str(self.api.http.base_url).replace("/api/v1/", "/health/ready")).status_code

    def postmaster(self) -> psutil.Process:
        found = find_postmaster(self.server._home.cluster)
        assert found is not None
        return psutil.Process(found.pid)


Fault = Callable[[System], AbstractContextManager[None]]


@contextmanager
def killed(system: System) -> Iterator[None]:
    system.postmaster().send_signal(signal.SIGKILL)
    yield
    system.server.ensure_running()


@contextmanager
def stopped(system: System) -> Iterator[None]:
    """As by an administrator: connections are closed with a word."""
    system.postmaster().send_signal(signal.SIGINT)
    yield
    system.server.ensure_running()


@contextmanager
def frozen(system: System) -> Iterator[None]:
    """All of it: connections are accepted, and nobody speaks."""
    postmaster = system.postmaster()
    postmaster.suspend()  # first: it starts no more
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        process.suspend()
    yield
    for process in processes:
        process.resume()


@contextmanager
def cut(system: System) -> Iterator[None]:
    system.network.cut()
    yield
    system.network.heal()


@contextmanager
def questions_swallowed(system: System) -> Iterator[None]:
    system.network.swallow(Direction.COMMANDS)
    yield
    system.network.heal()


@contextmanager
def answers_swallowed(system: System) -> Iterator[None]:
    system.network.swallow(Direction.ANSWERS)
    yield
    system.network.heal()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One for all these tests: each leaves it as it was."""
    directory = tmp_path_factory.mktemp("e2e")
    # Not below pytest's own, which each run of pytest closes to the server's account.
    with TemporaryDirectory(prefix="schedora-tests-") as data_dir:
        server = start_embedded(Path(data_dir), settings={"fsync": "off"})
        try:
            migrate(server.url)
            with (
                faulty_network(server.url) as network,
                running_cluster(directory, DATABASE_URL=network.url) as cluster,
            ):
                yield System(cluster, server, network, directory / "notes")
        finally:
            server.release()


@pytest.mark.parametrize(
    "fault",
    [killed, stopped, frozen, cut, questions_swallowed, answers_swallowed],
    ids=lambda fault: fault.__name__,
)
def test_nothing_is_lost_and_nothing_runs_twice(system: System, fault: Fault) -> None:
    sizes = {program: len(program.err.read_text()) for program in system.programs}
    jobs = [system.api.submit("note", {"seconds": 2}) for _ in range(LONG_JOBS)]
    until(lambda: system.noted("began").keys() >= set(jobs), "the long jobs to run")
    jobs += [system.api.submit("note", {}, priority=0) for _ in range(SHORT_JOBS)]
    with fault(system):
        began = time.monotonic()
        until(lambda: system.readiness() == 503, "the API not to be ready")
        answer = system.api.http.post("/jobs", json={"type": "note", "idempotency_key": os.urandom(8).hex()})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        until(
            lambda: time.monotonic() > began + OUTAGE_SECONDS, "an outage longer than workers may be silent"
        )
        until(lambda: system.noted("ended").keys() >= set(jobs[:LONG_JOBS]), "the long jobs to end meanwhile")
    back = time.monotonic()
    until(lambda: system.readiness() == 200, "the API to be ready")
    after = system.api.submit("note", {})
    print(f"{fault.__name__}: ready {time.monotonic() - back:.2f}", end=" ")
    for job_id in (*jobs, after):
        job = system.api.ended(job_id)
        assert (job["status"], job["attempt"], job["worker_deaths"]) == ("SUCCESS", 1, 0)
    print(f"all done {time.monotonic() - back:.2f}")
    assert {job_id: system.noted("ended")[job_id] for job_id in jobs} == dict.fromkeys(jobs, 1)
    said = {program: program.err.read_text()[size:] for program, size in sizes.items()}
    for program, text in said.items():
        print("-----", program.err.name)
        print(
            "\n".join(
                line
                for line in text.splitlines()
                if '"message": "request"' not in line and '"request"' not in line
            )[:6000]
        )
    assert "declared lost" not in "".join(said.values())
    for program in (*system.workers, system.reaper, system.api_program):
        print(program.err.name, said[program].count(AWAY), said[program].count(BACK))
