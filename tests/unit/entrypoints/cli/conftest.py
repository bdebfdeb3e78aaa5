"""A whole system in memory, and the command to talk to it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import frozen
from typer.testing import CliRunner

from schedora.entrypoints import processes
from schedora.entrypoints.cli.main import app as command
from tests.unit.entrypoints.sdk.serving import served


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


@pytest.fixture(autouse=True)
def logs_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """What commands set up for their process would hold for all tests after them."""
    monkeypatch.setattr(processes, "set_up_logs", lambda: None)


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


@pytest.fixture(scope="package")
def server_url() -> Iterator[str]:
    with served() as url:
        yield url


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
