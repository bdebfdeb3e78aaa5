"""A PostgreSQL that is there and does not do all it is asked for: its disk is full, it takes no writes, others have used up its
connections or lock its tables. Requests are told to come again, no worker is declared lost, nothing runs twice, and everybody goes
on by himself.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import psycopg
import pytest

from schedora.adapters.postgres.embedded import start_embedded
from schedora.adapters.postgres.upgrade import migrate
from schedora.entrypoints.api.errors import CutOff, problem_of
from tests.databases import on
from tests.e2e.conftest import SWIFT, Api, Cluster, running_cluster
from tests.e2e.test_losing_postgres import losses
from tests.programs import until

pytestmark = pytest.mark.xdist_group("server_faults")

CLIENTS = 30
JOBS, RESULT_CHARACTERS = 4, 400_000
CUT_OFF = problem_of(CutOff("")).detail
PAST_THE_TIMEOUT_SECONDS = 1.2 * float(SWIFT["WORKER_HEARTBEAT_TIMEOUT"])


class Asked(NamedTuple):
    """One submission, and what was said to it."""

    key: str
    status: int
    again: str | None
    """When to come again."""
    detail: str


class System:
    """API, reaper and a worker on a server of their own, whose tables are on a disk of their own where one can be had."""

    def __init__(self, cluster: Cluster, url: str, disk: Path | None, notes: Path) -> None:
        self.url = url
        self.disk = disk
        self.notes = notes
        api = cluster.start("api", "--port", "0", API_TIMEOUT_SECONDS="2")
        self.api = cluster.api(api)
        worker = cluster.start("worker", "--app", "tests.e2e.outage_handlers:app", NOTES=str(notes))
        self.programs = [api, cluster.start("reaper"), worker]
        self.worker = worker
        until(self.api.workers, "the worker to be registered")

    def noted(self, what: str) -> list[str]:
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [line.split()[1] for line in lines if line.startswith(what)]

    def flow(self) -> str:
        """Submits a workflow of one job, which is answered: its end is written in another way."""
        step = {"key": "a", "type": "note", "payload": PAYLOAD}
        answer = self.api.http.post("/workflows", json={"name": os.urandom(8).hex(), "jobs": [step]})
        return str(answer.json()["data"]["jobs"][0]["job_id"])


PAYLOAD = {"seconds": 0.5, "length": RESULT_CHARACTERS}
Fault = Callable[[System], AbstractContextManager[float]]
"""For how many seconds it is to last."""


@contextmanager
def disk_full(system: System) -> Iterator[float]:
    if system.disk is None:
        pytest.skip("a small disk is made by `mount -t tmpfs`, which is not allowed here")
    filler = system.disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    yield 2
    filler.unlink()


@contextmanager
def read_only(system: System) -> Iterator[float]:
    with psycopg.connect(system.url, autocommit=True) as admin:
        admin.execute("alter system set default_transaction_read_only = on")
        admin.execute("select pg_reload_conf()")
        yield 1
        admin.execute("set default_transaction_read_only = off")
        admin.execute("alter system reset default_transaction_read_only")
        admin.execute("select pg_reload_conf()")


@contextmanager
def connections_used_up(system: System) -> Iterator[float]:
    with ExitStack() as stack:
        with suppress(psycopg.OperationalError):
            while True:
                stack.enter_context(psycopg.connect(system.url))
        yield 2


@contextmanager
def tables_locked(system: System) -> Iterator[float]:
    """As while an index is made, or a migration waits: reads go on, and heartbeats can't be written."""
    with psycopg.connect(system.url) as other:
        other.execute("lock table workers, jobs in share mode")
        yield PAST_THE_TIMEOUT_SECONDS
        other.rollback()


@contextmanager
def a_disk(megabytes: int) -> Iterator[Path | None]:
    """A small one; None where this process may not make any."""
    with TemporaryDirectory(prefix="schedora-tests-") as name:
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", name]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            yield None
            return
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", name], check=True)


def on_disk(disk: Path, server_url: str, data_dir: Path) -> str:
    """The URL of a database all of which is there."""
    owner = (data_dir / "postgres").stat()
    for directory in (disk, disk / "tables"):
        directory.mkdir(exist_ok=True)
        os.chown(directory, owner.st_uid, owner.st_gid)
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(f"create tablespace small location '{disk / 'tables'}'".encode())
        admin.execute("create database small template template0 tablespace small")
    return on(server_url, "small")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One for all these tests: each leaves it as it was."""
    directory = tmp_path_factory.mktemp("e2e")
    # Not below pytest's own, which each run of pytest closes to the server's account.
    with TemporaryDirectory(prefix="schedora-tests-") as data_dir, a_disk(megabytes=32) as disk:
        server = start_embedded(Path(data_dir), settings={"fsync": "off", "max_connections": "30"})
        try:
            url = server.url if disk is None else on_disk(disk, server.url, Path(data_dir))
            migrate(url)
            with running_cluster(directory, DATABASE_URL=url) as cluster:
                yield System(cluster, url, disk, directory / "notes")
        finally:
            server.release()


@pytest.mark.parametrize(
    "fault", [connections_used_up, disk_full, read_only, tables_locked], ids=lambda fault: fault.__name__
)
def test_requests_are_told_to_come_again_and_nothing_runs_twice(system: System, fault: Fault) -> None:
    before = {program: len(program.err.read_text()) for program in system.programs}
    jobs = [system.api.submit("note", PAYLOAD) for _ in range(JOBS)]
    jobs.append(system.flow())
    until(lambda: {*system.noted("began")} >= {*jobs}, "the jobs to run")
    with fault(system) as seconds, ThreadPoolExecutor(CLIENTS) as clients:
        over_at = time.monotonic() + seconds
        asked = [request for requests in clients.map(_ask, [system.api] * CLIENTS, [over_at] * CLIENTS)
                 for request in requests]  # fmt: skip
        until(lambda: {*system.noted("ended")} >= {*jobs}, "the jobs to end meanwhile")
    assert {(one.status, one.again) for one in asked} <= {(201, None), (503, "1")}
    if fault is connections_used_up:  # there are enough to go on with, and time is short on a busy machine
        assert {one.detail for one in asked} <= {"", CUT_OFF}
    else:
        assert 503 in {one.status for one in asked}
    for key in [one.key for one in asked]:
        answer = system.api.http.post("/jobs", json=_order(key))
        while answer.status_code == 503:
            answer = system.api.http.post("/jobs", json=_order(key))
        assert answer.status_code in {201, 409}, "it may have been stored, and is there once"
        jobs.append(answer.json()["data"]["job_id"])
    for job_id in jobs:
        job = system.api.ended(job_id)
        assert (job["status"], job["attempt"], job["worker_deaths"]) == ("SUCCESS", 1, 0)
    assert sorted(jobs) == sorted(job_id for job_id in system.noted("began") if job_id in jobs)
    for program, size in before.items():
        told = until(partial(losses, program, size), f"{program.err.name} to find the store again")
        said = program.err.read_text()[size:]
        # On a full disk a few bytes are free now and then, so that a new connection succeeds and the next one fails.
        # A store that is away is asked again each half second, and so is it told no more often.
        most = 2 * seconds + 1 if fault is disk_full else 1
        assert int(told.split()[0]) <= most, said
        assert "declared lost" not in said
        assert '"level":"error"' not in said
        if program is system.worker and fault in {disk_full, read_only}:
            assert told == "1 times", "it had outcomes to write meanwhile"


def _order(key: str) -> dict[str, Any]:
    return {"type": "note", "idempotency_key": key}


def _ask(api: Api, over_at: float) -> list[Asked]:
    """Until then, again and again."""
    asked = []
    while time.monotonic() < over_at:
        key = os.urandom(8).hex()
        answer = api.http.post("/jobs", json=_order(key))
        again, refused = answer.headers.get("retry-after"), answer.status_code == 503
        asked.append(Asked(key, answer.status_code, again, answer.json()["detail"] if refused else ""))
        time.sleep(0.3)
    return asked
