"""Looking on while jobs and workflows run."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from schedora import SchedoraClient
from schedora.domain.events import JobEvent
from schedora.domain.job_state import JobState
from schedora.entrypoints.cli import watching
from schedora.entrypoints.cli.watching import _newer, watch_job
from schedora.entrypoints.sdk import conversation
from tests.unit.entrypoints.cli.conftest import Run, invoke, refused
from tests.unit.entrypoints.cli.terminal import on_terminal
from tests.unit.entrypoints.sdk.odd_server import OddServer, an_odd_server
from tests.unit.entrypoints.sdk.serving import WORKER_ID

Submit = Callable[..., str]
JOB_ID = "0198f000-0000-7000-8000-000000000000"


@pytest.fixture(autouse=True)
def swift(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(conversation, "PAUSES_SECONDS", ())


@pytest.fixture
def odd_server() -> Iterator[OddServer]:
    with an_odd_server() as server:
        yield server


def a_job(status: str, **fields: Any) -> dict[str, Any]:
    """As the API tells of it."""
    at = "2030-01-31T08:00:00Z"
    return {
        "job_id": JOB_ID, "type": "import", "payload": {}, "idempotency_key": "k", "priority": 5, "queue": "q",
        "scheduled_at": at, "max_retries": 3, "retry_policy": "fixed", "retry_base_seconds": 1,
        "retry_max_seconds": 1, "timeout_seconds": 1, "workflow_id": None, "key": None, "depends_on": [],
        "status": status, "worker_id": None, "attempt": 1, "retry_count": 0, "lease_token": 1, "worker_deaths": 0,
        "created_at": at, "claimed_at": None, "started_at": None, "completed_at": None, "error_message": None,
        "errors": [], "progress": None, "result": None, "trace_id": "0" * 32, **fields,
    }  # fmt: skip


def an_event(seconds: int, to: JobState) -> JobEvent:
    at = datetime(2030, 1, 31, 8, tzinfo=UTC) + timedelta(seconds=seconds)
    return JobEvent(at=at, from_state=None, to_state=to, attempt=0, worker_id=None, reason=None)


def test_a_terminal_shows_each_move_and_what_runs(run: Run, submit: Submit, server_url: str) -> None:
    job_id = submit("sleep", "--arg", "seconds=3")  # for as long as it takes to look on
    shown = on_terminal("jobs", "watch", job_id, SCHEDORA_URL=server_url)
    assert shown.status == 0
    assert "SCHEDULED -> RUNNING  attempt 1  worker the-worker" in shown.text
    assert "sleep RUNNING" in shown.text
    assert shown.raw.endswith("\x1b[?25h\r\x1b[1A\x1b[2K")  # the cursor is shown again, the live line is gone


def test_a_terminal_shows_progress(odd_server: OddServer) -> None:
    events = {"data": [{"at": "2030-01-31T08:00:00Z", "from": None, "to": "PENDING", "attempt": 0,
                        "worker_id": None, "reason": "told\x1b[2J"}]}  # fmt: skip
    for document in (
        {"data": a_job("RUNNING", progress={"fraction": 0.5, "message": "half\x1b[2J"})},
        events,
        {"data": a_job("RUNNING", progress={"fraction": 0.7, "message": None})},
        events,
        {"data": a_job("DEAD", progress=None)},
        events,
    ):
        odd_server.says(200, document)
    shown = on_terminal("jobs", "watch", JOB_ID, SCHEDORA_URL=odd_server.url)
    assert shown.status == 1
    assert r"import RUNNING  half\x1b[2J" in shown.text
    assert "━━━" in shown.text
    assert r"created -> PENDING  told\x1b[2J" in shown.text
    assert shown.text.count("created") == 1


def test_a_terminal_shows_the_graph(run: Run, server_url: str) -> None:
    jobs = [
        {"key": "a", "type": "echo"},
        {"key": "b", "type": "sleep", "payload": {"seconds": 0.2}, "depends_on": ["a"]},
        {
            "key": "c",
            "type": "fail",
            "depends_on": ["b"],
            "max_retries": 0,
            "payload": {"message": "no\nmore"},
        },
        *({"key": f"d{number}", "type": "echo", "depends_on": ["c"]} for number in range(40)),
    ]
    flow = json.dumps({"name": "on a terminal", "jobs": jobs})
    workflow_id = run("workflows", "submit", "-", "--json", stdin=flow).document["workflow_id"]
    shown = on_terminal("workflows", "watch", workflow_id, SCHEDORA_URL=server_url)
    assert shown.status == 1
    assert "and 21 more" in shown.text
    assert shown.lines[-1] == "on a terminal  FAILED  43: 2 done, 1 failed, 40 canceled"
    table = shown.lines[-44:-1]
    assert table[0].split()[:3] == ["a", "echo", "SUCCESS"]
    assert table[2].split()[:5] == ["c", "fail", "DEAD", "1", WORKER_ID]
    assert table[2].endswith("no more")


def test_a_server_that_comes_back_is_waited_for(odd_server: OddServer) -> None:
    away = {"title": "Service Unavailable", "status": 503}
    for status, document in (
        (200, {"data": a_job("RUNNING")}),
        (200, {"data": []}),
        (503, away),
        (503, away),
        (200, {"data": a_job("SUCCESS")}),
        (200, {"data": []}),
    ):
        odd_server.says(status, document)
    shown = on_terminal("jobs", "watch", JOB_ID, SCHEDORA_URL=odd_server.url)
    assert shown.status == 0
    assert "the server is away; trying again" in shown.text


def test_a_server_that_stays_away_is_told_of(odd_server: OddServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PATIENCE_SECONDS", 0.05)
    odd_server.says(200, {"data": a_job("RUNNING")})
    odd_server.says(200, {"data": []})
    odd_server.says(503, {"detail": "no database"})
    refused(invoke("jobs", "watch", JOB_ID, "--url", odd_server.url), 1, "no database")


def test_a_server_that_was_never_there_is_not_waited_for(odd_server: OddServer) -> None:
    odd_server.says(503, {"detail": "no database"})
    refused(invoke("jobs", "watch", JOB_ID, "--json", "--url", odd_server.url), 1, "no database")
    assert len(odd_server.paths) == 1


def test_each_move_is_told_once() -> None:
    first, second, third = (
        an_event(seconds, state)
        for seconds, state in ((0, JobState.PENDING), (1, JobState.SCHEDULED), (2, JobState.RUNNING))
    )
    assert _newer([first, second], None) == [first, second]
    assert _newer([first, second, third], second) == [third]
    assert _newer([first, second], second) == []
    # The oldest of a long history are gone, and with them the one that was told last.
    assert _newer([third], second) == [third]


def test_silence_says_nothing(server_url: str, submit: Submit, capsys: pytest.CaptureFixture[str]) -> None:
    with SchedoraClient(server_url) as client:
        job = watch_job(client, UUID(submit("echo")), silent=True)
    assert job.status is JobState.SUCCESS
    assert capsys.readouterr().out == ""


def test_a_step_of_a_workflow_without_a_key_is_told_by_its_id(run: Run) -> None:
    created: Mapping[str, Any] = run(
        "workflows", "submit", "-", "--json", stdin=json.dumps({"name": "keyless"})
    ).document
    job_id = run("jobs", "submit", "echo", "--workflow", created["workflow_id"], "--json").document["job_id"]
    assert f"{job_id}  SUCCESS" in run("workflows", "watch", created["workflow_id"]).out.splitlines()
