"""PostgreSQL goes away while jobs run, in each way that it can, for longer than workers may be silent: nothing is lost,
nothing runs twice, no worker is declared lost, and everybody goes on by himself.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from schedora.adapters.postgres.embedded import EmbeddedServer, start_embedded
from schedora.adapters.postgres.embedded.pidfile import find_postmaster
from schedora.adapters.postgres.upgrade import migrate
from schedora_torture.proxy import BOTH, Direction
from tests.e2e.conftest import SWIFT, Cluster, running_cluster
from tests.programs import Program, until
from tests.proxies import FaultyNetwork, faulty_network
from tests.redis.servers import RedisServer

pytestmark = pytest.mark.xdist_group("losing_postgres")

OUTAGE_SECONDS = 1.5 * float(SWIFT["WORKER_HEARTBEAT_TIMEOUT"])
LONG_JOBS, SHORT_JOBS = 6, 30
AWAY, BACK = '"the store is away', '"the store is back'


class System:
    """API, reaper and two workers, with a network of its own between them and a server of its own."""

    def __init__(
        self,
        cluster: Cluster,
        server: EmbeddedServer,
        network: FaultyNetwork,
        redis: RedisServer,
        notes: Path,
    ) -> None:
        self.cluster = cluster
        self.server = server
        self.redis = redis
        self.network = network
        self._notes = notes
        self.api_program = cluster.start("api", "--port", "0", API_TIMEOUT_SECONDS="3")
        self.api = cluster.api(self.api_program)
        self.reaper = cluster.start("reaper")
        self.workers = [self.worker(name, "--queues", "default") for name in ("left", "right")]
        until(lambda: len(self.api.workers()) == len(self.workers), "the workers to be registered")

    def worker(self, name: str, *arguments: str) -> Program:
        command = ("worker", "--app", "tests.e2e.outage_handlers:app", "--worker-id", name, *arguments)
        return self.cluster.start(*command, NOTES=str(self._notes))

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
def frozen_as_redis_is(system: System) -> Iterator[None]:
    """Both, whole: connections are accepted, and nobody speaks."""
    system.redis.freeze()
    postmaster = system.postmaster()
    postmaster.suspend()  # first: it starts no more
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        process.suspend()
    yield
    system.redis.thaw()
    for process in processes:
        process.resume()


@contextmanager
def questions_swallowed_and_redis_killed(system: System) -> Iterator[None]:
    system.redis.kill()
    system.network.swallow(Direction.COMMANDS)
    yield
    system.network.heal()
    system.redis.start()


@contextmanager
def answers_swallowed_and_redis_emptied(system: System) -> Iterator[None]:
    system.network.swallow(Direction.ANSWERS)
    yield
    system.redis.empty()
    system.network.heal()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One for all these tests: each leaves it as it was."""
    directory = tmp_path_factory.mktemp("e2e")
    # Not below pytest's own, which each run of pytest closes to the server's account.
    with TemporaryDirectory(prefix="schedora-tests-") as data_dir, RedisServer(directory / "redis") as redis:
        server = start_embedded(Path(data_dir), settings={"fsync": "off"})
        try:
            migrate(server.url)
            with (
                faulty_network(server.url) as network,
                running_cluster(directory, DATABASE_URL=network.url, REDIS_URL=redis.url) as cluster,
            ):
                yield System(cluster, server, network, redis, directory / "notes")
        finally:
            server.release()


@pytest.mark.parametrize(
    "fault",
    [killed, frozen_as_redis_is, questions_swallowed_and_redis_killed, answers_swallowed_and_redis_emptied],
    ids=lambda fault: fault.__name__,
)
def test_nothing_is_lost_and_nothing_runs_twice(system: System, fault: Fault) -> None:
    before = {program: len(program.err.read_text()) for program in system.programs}
    jobs = [system.api.submit("note", {"seconds": 1}) for _ in range(LONG_JOBS)]
    until(lambda: system.noted("began").keys() >= set(jobs), "the long jobs to run")
    jobs += [system.api.submit("note", {}, priority=0) for _ in range(SHORT_JOBS)]
    with fault(system):
        began = time.monotonic()
        until(lambda: system.readiness() == 503, "the API not to be ready")
        key = os.urandom(8).hex()
        body = {"type": "note", "idempotency_key": key}
        answer = system.api.http.post("/jobs", json=body)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        until(lambda: system.noted("ended").keys() >= set(jobs[:LONG_JOBS]), "the long jobs to end meanwhile")
        until(lambda: time.monotonic() > began + OUTAGE_SECONDS, "workers to have been silent for too long")
    until(lambda: system.readiness() == 200, "the API to be ready")
    again = system.api.http.post("/jobs", json=body)
    assert again.status_code in {201, 409}, "it may have been stored, and is there once"
    jobs.append(again.json()["data"]["job_id"])
    for job_id in jobs:
        job = system.api.ended(job_id)
        assert (job["status"], job["attempt"], job["worker_deaths"]) == ("SUCCESS", 1, 0)
    assert {job_id: system.noted("began")[job_id] for job_id in jobs} == dict.fromkeys(jobs, 1)
    for program, size in before.items():
        told = until(partial(losses, program, size), f"{program.err.name} to find the store again")
        assert told in {"0 times", "1 times"}, "however often it was tried"
        assert "declared lost" not in program.err.read_text()[size:]


def losses(program: Program, since: int) -> str:
    """How often a program has said that the store is away, in words, once it has said as often that it is back."""
    text = program.err.read_text()[since:]
    lost, back = text.count(AWAY), text.count(BACK)
    return f"{lost} times" if lost == back else ""


def test_worker_that_is_stopped_meanwhile_ends_and_says_what_it_could_not_write(system: System) -> None:
    worker = system.worker("third", "--queues", "third")
    job_id = system.api.submit("note", {"seconds": 1}, queue="third")
    until(lambda: job_id in system.noted("began"), "the job to run")
    system.network.swallow(BOTH)
    try:
        until(lambda: job_id in system.noted("ended"), "the job to end")
        late = system.worker("late", "--queues", "third")
        worker.send(signal.SIGTERM)
        assert worker.ended() == 0
        said = worker.err.read_text()
        assert "outcomes were not written" in said
        assert job_id in said
        until(lambda: "waiting for the database" in late.err.read_text(), "the late one to wait")
    finally:
        system.network.heal()
    job = system.api.ended(job_id)
    assert (job["status"], job["attempt"]) == ("SUCCESS", 2), (
        "by the late one, once the first was found silent"
    )
    assert "the database is there" in late.err.read_text()
