"""The processes, run inside of this one, in memory or on a database, until a signal comes."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
import structlog

from schedora import Schedora
from schedora.domain.ids import IncarnationId
from schedora.domain.worker_death import WorkerDeath
from schedora.entrypoints import processes, replacement
from schedora.entrypoints.api.service import listen
from schedora.entrypoints.processes import run_api, run_migrate, run_reaper, run_up, run_worker
from schedora.entrypoints.service import Service, serve
from schedora.entrypoints.settings import WrongSettings

PATIENCE_SECONDS = 30.0

app = Schedora()


@pytest.fixture(autouse=True)
def process_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root, configured = logging.getLogger(), structlog.get_config() if structlog.is_configured() else None
    handlers, level = root.handlers[:], root.level
    monkeypatch.setenv("LOG_LEVEL", "CRITICAL")
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    if configured is not None:
        structlog.configure(**configured)


class Visitor:
    """Once the API says where it listens, does something there from a thread, then ends the process."""

    def __init__(self, visit: Callable[[httpx.Client], Any]) -> None:
        self._visit = visit
        self._thread: threading.Thread | None = None
        self.saw: Any = None

    def said_where(self, url: str) -> None:
        self._thread = threading.Thread(target=self._go, args=(url,))
        self._thread.start()

    def _go(self, url: str) -> None:
        try:
            with httpx.Client(base_url=f"{url}/api/v1", timeout=PATIENCE_SECONDS) as client:
                self.saw = self._visit(client)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def left(self) -> Any:
        assert self._thread is not None
        self._thread.join()
        return self.saw


@pytest.fixture
def visitor(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[httpx.Client], Any]], Visitor]:
    def sent(visit: Callable[[httpx.Client], Any]) -> Visitor:
        made = Visitor(visit)
        monkeypatch.setattr(processes, "_say_where", made.said_where)
        return made

    return sent


def a_job_done(client: httpx.Client) -> Any:
    body = {"type": "echo", "payload": {"n": 1}, "idempotency_key": "k"}
    job_id = client.post("/jobs", json=body).json()["data"]["job_id"]
    return client.get(f"/jobs/{job_id}", params={"wait": 20}).json()["data"]


def test_up_in_memory(visitor: Any) -> None:
    visit = visitor(a_job_done)
    assert run_up(app=app, host="127.0.0.1", port=0, data_dir=None, memory=True) == 0
    job = visit.left()
    assert (job["status"], job["result"]) == ("SUCCESS", {"n": 1})


def test_one_that_starts_anew_listens_where_it_did(visitor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ports: list[int] = []

    def run(port: int = 0) -> None:
        visit = visitor(lambda client: client.base_url.port)
        assert run_up(app=app, host="127.0.0.1", port=port, data_dir=None, memory=True) == 0
        ports.append(visit.left())

    def take_the_place() -> None:
        monkeypatch.setenv(processes.PORT, replacement._kept[processes.PORT])

    run()
    take_the_place()
    run()
    assert ports[1] == ports[0]
    assert processes.PORT not in os.environ, "nothing else that it starts is to take it"
    with listen("127.0.0.1", 0) as other:
        free: int = other.getsockname()[1]
    take_the_place()
    run(free)
    assert ports[2] == free, "what is typed wins"
    take_the_place()
    with listen("127.0.0.1", free):
        run()
    assert ports[3] != free, "where somebody has taken it, any other will do"


def test_a_handler_whose_thread_does_not_end_keeps_no_process(
    visitor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, release = threading.Event(), threading.Event()
    stuck = Schedora()
    monkeypatch.setenv("WORKER_SHUTDOWN_TIMEOUT", "0")

    @stuck.job("stuck")
    def hold() -> None:
        begun.set()
        release.wait()

    def leave_it_running(client: httpx.Client) -> None:
        client.post("/jobs", json={"type": "stuck", "idempotency_key": "k"})
        assert begun.wait(PATIENCE_SECONDS)

    exits: list[int] = []
    monkeypatch.setattr("schedora.entrypoints.processes.os._exit", exits.append)
    visit = visitor(leave_it_running)
    run_up(app=stuck, host="127.0.0.1", port=0, data_dir=None, memory=True)
    visit.left()
    release.set()
    assert exits == [0]


def test_each_process_on_a_database(
    database_url: str, visitor: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert run_migrate(data_dir=None) == 0
    assert capsys.readouterr().out == "The schema is up to date.\n"

    visit = visitor(lambda client: client.get("/health").json()["data"]["status"])
    assert run_api(host="127.0.0.1", port=0, data_dir=None) == 0
    assert visit.left() == "healthy"

    def end_once_registered() -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            while connection.execute("select from workers where worker_id = 'w'").fetchone() is None:
                threading.Event().wait(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    ender = threading.Thread(target=end_once_registered)
    ender.start()
    assert (
        run_worker(
            app=app, target=None, queues=("a",), concurrency=3, processes=None, worker_id="w", data_dir=None
        )
        == 0
    )
    ender.join()
    with psycopg.connect(database_url) as connection:
        [row] = connection.execute("select status, queues, max_concurrent_jobs from workers")
    assert row == ("STOPPED", ["a"], 3)

    async def serve_for_a_moment(services: Sequence[Service]) -> int:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
        return await serve(services)

    monkeypatch.setattr(processes, "serve", serve_for_a_moment)
    assert run_reaper(data_dir=None) == 0


def test_several_worker_processes_are_supervised(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("WORKER_ID", "many")
    run_migrate(data_dir=None)
    told: dict[str, Any] = {}

    def supervise(**options: Any) -> int:
        told.update(options)
        return 0

    monkeypatch.setattr(processes, "supervise", supervise)
    status = run_worker(
        app=app, target="m:app", queues=(), concurrency=None, processes=2, worker_id=None,
        max_jobs_per_child=9, max_memory_mb_per_child=300, data_dir=tmp_path,
    )  # fmt: skip
    assert status == 0
    note_death = told.pop("note_death")
    assert told == {
        "target": "m:app", "queues": (), "concurrency": None, "processes": 2, "worker_id": "many",
        "max_jobs_per_child": 9, "max_memory_mb_per_child": 300, "data_dir": tmp_path, "stop_seconds": 30, "hung_seconds": 48,
    }  # fmt: skip

    incarnation = IncarnationId(UUID(int=7))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "insert into workers (incarnation, worker_id, hostname, pid, version, max_concurrent_jobs, queues, types,"
            " status, registered_at, last_heartbeat)"
            " values (%s, 'w', '', 1, '', 1, '{}', '{}', 'ACTIVE', now(), now())",
            [incarnation],
        )
        asyncio.run(note_death(incarnation, WorkerDeath(how="was ended by SIGKILL")))
        assert connection.execute("select death ->> 'how' from workers").fetchall() == [
            ("was ended by SIGKILL",)
        ]


def test_what_is_typed_wins_over_what_the_app_says(tmp_path: Path) -> None:
    elsewhere = Schedora(data_dir="/elsewhere")
    assert processes._prepared(None, elsewhere).schedora_data_dir == Path("/elsewhere")
    assert processes._prepared(tmp_path, elsewhere).schedora_data_dir == tmp_path


def test_a_sampler_of_which_only_others_know_is_told_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "xray")
    assert processes._prepared(None).sampler.ratio == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "OTEL_TRACES_SAMPLER: Schedora has no sampler 'xray'" in line


def test_wrong_settings_stop_a_process_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "none")
    with pytest.raises(WrongSettings, match="DATABASE_POOL_SIZE"):
        run_reaper(data_dir=None)


def test_one_that_leaves_a_thread_behind_still_tells_what_its_log_holds_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[object] = []
    monkeypatch.setattr(processes.logging, "shutdown", lambda: done.append("told"))  # type: ignore[attr-defined] # what it imports
    monkeypatch.setattr(processes.os, "_exit", done.append)  # type: ignore[attr-defined] # as above
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait, name="schedora-handler-7")
    thread.start()
    processes._leave_threads_behind(3)
    go_on.set()
    thread.join()
    assert done == ["told", 3]
