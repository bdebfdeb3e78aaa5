import re
from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.unit.entrypoints.cli.conftest import Run, invoke, refused
from tests.unit.entrypoints.cli.terminal import on_terminal
from tests.unit.entrypoints.sdk.odd_server import an_odd_server

Submit = Callable[..., str]


@pytest.fixture
def queue() -> str:
    """The name of a queue that nobody serves."""
    return f"q-{uuid4()}"


def test_stats_tell_of_each_queue_and_of_all(run: Run, submit: Submit, queue: str) -> None:
    submit("echo", "--queue", queue)
    run("queues", "pause", queue)
    answer = run("queues", "stats")
    assert answer.status == 0
    rows = {line.split()[0]: line.split()[1:] for line in answer.out.splitlines()}
    assert rows["QUEUE"] == ["PENDING", "RUNNING", "DEAD", "OLDEST", "READY"]
    assert rows[queue][:3] == ["1", "0", "0"]
    assert rows[queue][4] == "paused"
    assert "(all)" in rows


def test_stats_as_json_are_the_document_of_the_api(run: Run, submit: Submit, queue: str) -> None:
    submit("echo", "--queue", queue)
    stats = run("queues", "stats", "--json").document
    assert {"pending_jobs", "running_jobs", "dlq_jobs", "by_status", "unhandled_types"} < stats.keys()
    assert stats["queues"][queue]["pending_jobs"] == 1
    assert stats["queues"][queue]["by_status"]["PENDING"] == 1


def test_stats_name_the_types_that_nobody_handles(run: Run, submit: Submit, queue: str) -> None:
    kind = f"kind-{uuid4()}"
    submit(kind, "--queue", queue)
    answer = run("queues", "stats")
    assert re.fullmatch(rf"No live worker handles: .*{kind}.*\n", answer.err)
    assert kind not in answer.out


def test_pause_and_resume(run: Run, queue: str) -> None:
    assert run("queues", "pause", queue).out == f"{queue}  paused\n"
    paused = run("queues", "pause", queue, "--json").document
    assert (paused["queue"], paused["paused"]) == (queue, True)
    assert paused["paused_at"].endswith("Z")
    assert run("queues", "resume", queue).out == f"{queue}  resumed\n"
    resumed = run("queues", "resume", queue, "--json").document
    assert resumed == {"queue": queue, "paused": False, "paused_at": None}


def test_a_paused_queue_waits(run: Run, submit: Submit) -> None:
    run("queues", "pause", "other")
    job_id = submit("echo", "--queue", "other")
    assert run("jobs", "show", job_id, "--json").document["status"] == "PENDING"
    run("queues", "resume", "other")
    assert run("jobs", "watch", job_id, "--json").document["status"] == "SUCCESS"


def test_purge_one_queue(run: Run, submit: Submit, queue: str) -> None:
    ids = [submit("echo", "--queue", queue) for _ in range(2)]
    other = submit("echo", "--queue", f"{queue}-2")
    assert run("queues", "purge", queue).out == "2 jobs canceled\n"
    assert {run("jobs", "show", job_id, "--json").document["status"] for job_id in ids} == {"CANCELED"}
    assert run("jobs", "show", other, "--json").document["status"] == "PENDING"
    again = run("queues", "purge", "--queue", f"{queue}-2", "--json").document
    assert again == {"message": "Queue purged successfully", "purged": 1}


def test_purge_all_queues(run: Run, submit: Submit, queue: str) -> None:
    submit("echo", "--queue", queue)
    assert run("queues", "purge", "--yes", "--json").document["purged"] >= 1
    assert run("queues", "stats", "--json").document["pending_jobs"] == 0


@pytest.mark.parametrize(
    ("typed", "status", "said"), [("y\n", 0, "1 jobs canceled"), ("n\n", 1, "schedora: nothing done")]
)
def test_a_person_is_asked_before_a_purge(
    run: Run, submit: Submit, server_url: str, queue: str, typed: str, status: int, said: str
) -> None:
    submit("echo", "--queue", queue)
    shown = on_terminal("queues", "purge", queue, typed=typed, SCHEDORA_URL=server_url)
    assert shown.status == status
    assert f"Cancel every job that waits in queue {queue}?" in shown.text
    assert shown.lines[-1].endswith(said)
    assert run("queues", "purge", queue, "--json").document["purged"] == (status == 1)


def test_an_end_of_input_is_no_yes(server_url: str, queue: str) -> None:
    shown = on_terminal("queues", "purge", queue, typed="\x04", SCHEDORA_URL=server_url)
    assert shown.status == 130


def test_nobody_is_asked_who_can_t_answer(server_url: str, queue: str) -> None:
    shown = on_terminal("queues", "purge", queue, piped=["stdin"], SCHEDORA_URL=server_url)
    assert (shown.status, shown.lines) == (0, ["0 jobs canceled"])


@pytest.mark.parametrize("verb", ["pause", "resume", "purge"])
@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_leads_elsewhere_is_wrong_use(run: Run, verb: str, name: str) -> None:
    refused(run("queues", verb, name), 2, "can't be the name of a queue")


@pytest.mark.parametrize("name", ["a/b", "ü 💌", "%2e%2e", "?x=1#y"])
def test_any_other_name_stays_itself(run: Run, name: str) -> None:
    assert run("queues", "pause", name, "--json").document["queue"] == name
    run("queues", "resume", name)


def test_what_the_server_refuses(run: Run) -> None:
    refused(run("queues", "pause", "q" * 201), 1, "200")


def test_an_empty_system_has_nothing_to_note() -> None:
    empty = {
        "pending_jobs": 0, "running_jobs": 0, "dlq_jobs": 0, "by_status": {}, "oldest_ready_seconds": None,
        "unhandled_types": [], "queues": {},
    }  # fmt: skip
    with an_odd_server() as server:
        server.says(200, empty)
        answer = invoke("queues", "stats", "--url", server.url)
    assert answer.err == ""


def test_old_figures_are_marked_as_such() -> None:
    counted = {
        "pending_jobs": 250_000, "running_jobs": 0, "dlq_jobs": 0, "by_status": {}, "oldest_ready_seconds": None,
        "unhandled_types": [], "counted_seconds_ago": 2.46, "queues": {},
    }  # fmt: skip
    with an_odd_server() as server:
        server.says(200, counted)
        answer = invoke("queues", "stats", "--url", server.url)
    assert answer.err.startswith("Counted 2.5 s ago")
    assert [line.split()[0] for line in answer.out.splitlines()] == ["QUEUE", "(all)"]


def test_retain(run: Run, submit: Submit, queue: str) -> None:
    submit("echo", "--queue", queue)
    shown = run("queues", "retain", queue, "--success", "3600", "--dead", "86400").out
    assert shown.splitlines()[0].split() == ["QUEUE", "SUCCESS", "CANCELED", "DEAD"]
    assert queue in shown
    retention = run("queues", "stats", "--json").document["queues"][queue]["retention"]
    assert retention == {"success_seconds": 3600.0, "canceled_seconds": None, "dead_seconds": 86400.0}
    again = run("queues", "retain", queue, "--json").document
    assert again == dict.fromkeys(("success_seconds", "canceled_seconds", "dead_seconds"))


@pytest.mark.parametrize("span", ["59", "a", "1e99"])
def test_retain_takes_spans_that_can_be(queue: str, span: str) -> None:
    refused(invoke("queues", "retain", queue, "--dead", span), 2, "--dead")
