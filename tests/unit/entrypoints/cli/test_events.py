"""``schedora events``."""

import json
import threading
from collections.abc import Callable, Iterator

import pytest

from schedora import SchedoraClient
from tests.unit.entrypoints.cli.conftest import Answer, Run, invoke, refused
from tests.unit.entrypoints.cli.terminal import on_terminal
from tests.unit.entrypoints.sdk.odd_server import OddServer, an_odd_server

JOB_ID = "0198f000-0000-7000-8000-000000000000"
MOVE = (
    'event: job\ndata: {"at":"2030-01-31T08:00:00Z","from":"RUNNING","to":"DEAD","attempt":2,"worker_id":"w1",'
    f'"reason":"no\\u001b[2J","job_id":"{JOB_ID}","type":"send mail","queue":"mail","workflow_id":null}}\nid: 7\n\n'
)


@pytest.fixture
def odd_server() -> Iterator[OddServer]:
    with an_odd_server() as server:
        yield server


def test_people_see_a_line_a_move(odd_server: OddServer) -> None:
    odd_server.says(200, f'event: gap\ndata: {{"reason":"lost"}}\n\n{MOVE}'.encode())
    answer = invoke("events", "--count", "1", SCHEDORA_URL=odd_server.url)
    assert answer.status == 0
    [line] = answer.out.splitlines()
    assert line.endswith(f"{JOB_ID}  send mail on mail  RUNNING -> DEAD  attempt 2  worker w1  no\\x1b[2J")
    assert answer.err.startswith("Something may have been missed")


def test_a_terminal_shows_it_in_colour(odd_server: OddServer) -> None:
    odd_server.says(200, MOVE.encode())
    shown = on_terminal("events", "--count", "1", SCHEDORA_URL=odd_server.url)
    assert shown.status == 0
    assert "RUNNING -> DEAD" in shown.text
    assert shown.text != shown.raw


def test_programs_get_a_document_a_line(odd_server: OddServer) -> None:
    ready = 'event: ready\ndata: {"at":"2030-01-31T08:00:00Z"}\nid: 6\n\n'
    gap = 'event: gap\ndata: {"reason":"unattended"}\n\n'
    odd_server.says(200, f"{ready}{gap}{MOVE}".encode())
    answer = invoke("events", "--json", "--count", "1", SCHEDORA_URL=odd_server.url)
    assert [json.loads(line) for line in answer.out.splitlines()] == [
        {"event": "ready", "id": "6", "at": "2030-01-31T08:00:00Z"},
        {"event": "gap", "reason": "unattended"},
        {
            "event": "job", "id": "7", "job_id": JOB_ID, "type": "send mail", "queue": "mail", "workflow_id": None,
            "at": "2030-01-31T08:00:00Z", "from": "RUNNING", "to": "DEAD", "attempt": 2, "worker_id": "w1",
            "reason": "no\x1b[2J",
        },
    ]  # fmt: skip
    assert answer.err == ""


def test_filters_are_those_of_the_api(odd_server: OddServer) -> None:
    odd_server.says(200, MOVE.encode())
    invoke(
        "events", "--queue", "a", "--queue", "b", "--type", "t", "--status", "dead", "--job", JOB_ID, "--workflow",
        JOB_ID, "--count", "1", SCHEDORA_URL=odd_server.url,
    )  # fmt: skip
    [path] = odd_server.paths
    assert path == (f"/api/v1/events?queue=a&queue=b&type=t&status=DEAD&workflow_id={JOB_ID}&job_id={JOB_ID}")


def test_a_real_server_tells_what_happens(run: Run, submit: Callable[..., str], server_url: str) -> None:
    job_id = submit("waits", "--queue", "nobody serves this")
    answers: list[Answer] = []
    follower = threading.Thread(
        target=lambda: answers.append(run("events", "--job", job_id, "--count", "1", "--json"))
    )
    with SchedoraClient(server_url) as client:
        stream = client.stream_events(job=job_id)
        next(stream)  # it is ready, and so is the other one from its beginning
        follower.start()
        while follower.is_alive():
            client.cancel_job(job_id)
            next(event for event in stream if getattr(event, "to_state", None) == "CANCELED")
            client.retry_job(job_id)
            follower.join(0.2)
        stream.close()
    [answer] = answers
    documents = [json.loads(line) for line in answer.out.splitlines()]
    assert [document["event"] for document in documents] == ["ready", "job"]
    assert documents[1]["job_id"] == job_id


def test_a_server_that_is_not_there(run: Run) -> None:
    refused(run("events", "--url", "http://127.0.0.1:1"), 1, "can't be reached")


def test_a_filter_that_makes_no_sense(run: Run) -> None:
    refused(run("events", "--status", "lost"), 2, "lost")
    refused(run("events", "--queue", "x" * 300), 1, "queue")
