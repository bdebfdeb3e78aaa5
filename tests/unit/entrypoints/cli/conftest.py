"""A whole system in memory, served over HTTP by a thread of this process, and the command to talk to it."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest
import structlog
from attrs import frozen
from structlog.typing import EventDict, WrappedLogger
from typer.testing import CliRunner

from schedora import Schedora
from schedora.entrypoints.api.service import ApiService, listen
from schedora.entrypoints.cli.main import app as command
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.container.settings import Settings
from schedora.entrypoints.worker import WorkerService

WORKER_ID = "the-worker"
QUEUES_SERVED = ("default", "other")
"""What waits in any other queue waits for ever."""


@frozen
class Answer:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one document on standard output."""
        [line] = self.out.splitlines()
        return json.loads(line)


Run = Callable[..., Answer]


def invoke(*arguments: str, stdin: str | None = None, **environment: str) -> Answer:
    result = CliRunner().invoke(command, arguments, input=stdin, env=environment, prog_name="schedora")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)


def refused(answer: Answer, status: int, *said: str) -> None:
    """Holds for a command that failed with one line on standard error and nothing on standard output."""
    assert answer.status == status, answer
    assert answer.out == ""
    [line] = answer.err.splitlines()
    assert line.startswith("schedora: ")
    for words in said:
        assert words in line


def unsaid(_: WrappedLogger, __: str, ___: EventDict) -> NoReturn:
    """Drops what is logged."""
    raise structlog.DropEvent


@pytest.fixture(scope="package")
def silent_logs() -> Iterator[None]:
    """The server shares this process's streams: what it logs must not stand in a command's output."""
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.configure(processors=[unsaid])
    yield
    structlog.reset_defaults()
    if before is not None:
        structlog.configure(**before)


@pytest.fixture(scope="package")
def server_url(silent_logs: None) -> Iterator[str]:
    listening = listen("127.0.0.1", 0)
    ready, stop = threading.Event(), threading.Event()
    urls: list[str] = []

    def heard(url: str) -> None:
        urls.append(url)
        ready.set()

    thread = threading.Thread(target=lambda: asyncio.run(_serve(listening, heard, stop)))
    thread.start()
    try:
        assert ready.wait(30)
        yield urls[0]
    finally:
        stop.set()
        thread.join()


async def _serve(listening: socket.socket, heard: Callable[[str], None], stop: threading.Event) -> None:
    settings = Settings(_env_file=None, worker_shutdown_timeout=0)  # type: ignore[call-arg] # how pydantic takes it
    system = build_system(settings, database_url=None)
    await system.open()
    worker = WorkerService(
        system, Schedora().handlers, queues=QUEUES_SERVED, concurrency=10, worker_id=WORKER_ID
    )
    api = ApiService(system, listening, on_ready=heard)
    running = [asyncio.create_task(service.run()) for service in (worker, api)]
    await asyncio.to_thread(stop.wait)
    for service in (worker, api):
        service.stop()
    await asyncio.gather(*running)
    await system.endings.close()
    await system.close()


@pytest.fixture
def run(server_url: str) -> Run:
    """Runs the command against the server; each argument is a word."""

    def run_there(*arguments: str, **more: Any) -> Answer:
        return invoke(*arguments, SCHEDORA_URL=server_url, **more)

    return run_there


@pytest.fixture
def submit(run: Run) -> Callable[..., str]:
    """Submits a job; answers its id."""

    def submit_job(*arguments: str) -> str:
        answer = run("jobs", "submit", *arguments, "--json")
        assert answer.status in {0, 1}, answer
        return str(answer.document["job_id"])

    return submit_job
