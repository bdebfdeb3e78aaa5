import re
from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.unit.entrypoints.cli.conftest import Run, refused
from tests.unit.entrypoints.sdk.serving import WORKER_ID

Submit = Callable[..., str]
NOBODY = "0198f000-0000-7000-8000-000000000000"


def test_submit_tells_the_id_first(run: Run) -> None:
    answer = run("jobs", "submit", "echo", "--arg", "a=1")
    assert answer.status == 0
    assert answer.err == ""
    assert re.fullmatch(r"[0-9a-f-]{36}  submitted: echo on queue default, PENDING\n", answer.out)


def test_submit_carries_every_option(run: Run) -> None:
    job = run(
        "jobs", "submit", "echo", "--payload", '{"a": "ü"}', "--arg", "b=2", "--key", "all-options",
        "--queue", "unserved", "--priority", "9", "--at", "2999-01-31T08:00:00+02:00", "--max-retries", "7",
        "--retry-policy", "JITTER", "--retry-base", "1.5", "--retry-max", "20", "--timeout", "30", "--json",
    ).document  # fmt: skip
    assert job["payload"] == {"a": "ü", "b": 2}
    assert job["idempotency_key"] == "all-options"
    assert (job["queue"], job["priority"], job["scheduled_at"]) == ("unserved", 9, "2999-01-31T06:00:00Z")
    assert (job["max_retries"], job["retry_policy"]) == (7, "jitter")
    assert (job["retry_base_seconds"], job["retry_max_seconds"], job["timeout_seconds"]) == (1.5, 20, 30)
    assert (job["created"], job["same_request"]) == (True, True)


def test_submit_reads_the_payload_from_standard_input(run: Run) -> None:
    answer = run("jobs", "submit", "echo", "--payload", "-", "--json", stdin='{"from": "stdin"}')
    assert answer.document["payload"] == {"from": "stdin"}


def test_submit_leaves_the_defaults_to_the_server(run: Run) -> None:
    job = run("jobs", "submit", "echo", "--json").document
    assert (job["payload"], job["queue"], job["priority"], job["max_retries"]) == ({}, "default", 5, 3)


def test_submit_waits_for_success(run: Run) -> None:
    answer = run("jobs", "submit", "echo", "--arg", "a=1", "--wait", "30")
    assert answer.status == 0
    assert re.search(r"^status +SUCCESS$", answer.out, re.MULTILINE)
    assert re.search(r'^result +\{"a": 1\}$', answer.out, re.MULTILINE)


def test_submit_waits_and_fails_with_the_job(run: Run) -> None:
    answer = run(
        "jobs", "submit", "fail", "--arg", "message=no", "--max-retries", "0", "--wait", "30", "--json"
    )
    assert answer.status == 1
    assert answer.document["status"] == "DEAD"
    assert answer.document["error_message"] == "no"


def test_submit_waits_too_short(run: Run) -> None:
    answer = run("jobs", "submit", "echo", "--queue", "unserved", "--wait", "0.01", "--json")
    assert answer.status == 1
    assert answer.document["status"] == "PENDING"
    assert re.fullmatch(r"schedora: job \S+ has not ended in time: it is PENDING\n", answer.err)


def test_the_same_job_under_its_key_is_found(run: Run) -> None:
    first = run("jobs", "submit", "echo", "--key", "twice", "--json").document
    again = run("jobs", "submit", "echo", "--key", "twice", "--json")
    assert again.status == 0
    assert again.document["job_id"] == first["job_id"]
    assert again.document["created"] is False
    assert "known already" in run("jobs", "submit", "echo", "--key", "twice").out


def test_another_job_under_a_taken_key_is_a_conflict(run: Run, submit: Submit) -> None:
    job_id = submit("echo", "--key", "taken")
    refused(run("jobs", "submit", "sleep", "--key", "taken"), 1, "the key taken was taken", job_id)


def test_show_tells_what_people_want_to_know(run: Run, submit: Submit) -> None:
    job_id = submit("fail", "--arg", "message=broken", "--max-retries", "0", "--wait", "30")
    answer = run("jobs", "show", job_id)
    assert answer.status == 0
    for line in (
        f"job +{job_id}", "type +fail", "status +DEAD", f"worker +{WORKER_ID}", "attempt +1", "error +broken",
        f"attempt 1 +AskedToFail: broken \\(worker {WORKER_ID}\\)",
    ):  # fmt: skip
        assert re.search(f"^{line}$", answer.out, re.MULTILINE), line
    assert "result" not in answer.out


def test_show_as_json_is_the_document_of_the_api(run: Run, submit: Submit) -> None:
    job = run("jobs", "show", submit("fail", "--max-retries", "0", "--wait", "30"), "--json").document
    assert job["errors"][0].keys() == {"attempt", "at", "worker_id", "kind", "message", "traceback"}
    assert "created" not in job
    assert job["completed_at"].endswith("Z")


def test_list_filters(run: Run) -> None:
    kind = f"kind-{uuid4()}"
    ids = [run("jobs", "submit", kind, "--queue", "unserved", "--json").document["job_id"] for _ in range(3)]
    listed = run("jobs", "list", "--type", kind, "--json").document
    assert [job["job_id"] for job in listed["data"]] == ids[::-1]
    assert listed["next_cursor"] is None
    assert run("jobs", "list", "--type", kind, "--status", "dead", "--json").document["data"] == []
    either = run("jobs", "list", "--type", kind, "--status", "dead", "--status", "PENDING", "--json").document
    assert len(either["data"]) == 3
    for option in (
        ("--queue", "default"), ("--worker", "w9"), ("--created-before", "2020-01-01T00:00:00Z"),
        ("--created-after", "2999-01-01T00:00:00Z"), ("--workflow", NOBODY),
    ):  # fmt: skip
        assert run("jobs", "list", "--type", kind, *option, "--json").document["data"] == [], option


def test_list_goes_page_by_page(run: Run) -> None:
    kind = f"kind-{uuid4()}"
    ids = [run("jobs", "submit", kind, "--json").document["job_id"] for _ in range(3)]
    first = run("jobs", "list", "--type", kind, "--limit", "2")
    assert [line.split()[0] for line in first.out.splitlines()] == ["JOB", ids[2], ids[1]]
    cursor = re.fullmatch(r"There is more: --cursor (\S+)\n", first.err)
    assert cursor
    second = run("jobs", "list", "--type", kind, "--limit", "2", "--cursor", cursor[1])
    assert [line.split()[0] for line in second.out.splitlines()] == ["JOB", ids[0]]
    assert second.err == ""


def test_nothing_is_cut_where_nobody_watches(run: Run) -> None:
    kind = "long-" * 39
    run("jobs", "submit", kind, "--queue", "q" * 200)
    assert (
        f"  {kind}  {'q' * 200}  PENDING  5     0        -       " in run("jobs", "list", "--type", kind).out
    )


def test_watch_prints_each_move(run: Run, submit: Submit) -> None:
    answer = run("jobs", "watch", submit("sleep", "--arg", "seconds=0.6"))
    assert answer.status == 0
    moves = [re.sub(r"^\S+ \S+  ", "", line) for line in answer.out.splitlines()]
    assert moves == [
        "created -> PENDING",
        f"PENDING -> SCHEDULED  attempt 1  worker {WORKER_ID}",
        f"SCHEDULED -> RUNNING  attempt 1  worker {WORKER_ID}",
        f"RUNNING -> SUCCESS  attempt 1  worker {WORKER_ID}",
    ]


def test_watch_ends_with_one_unless_it_is_success(run: Run, submit: Submit) -> None:
    answer = run("jobs", "watch", submit("fail", "--arg", "message=no", "--max-retries", "0"))
    assert answer.status == 1
    assert "FAILED -> DEAD" in answer.out
    assert answer.err == ""


def test_watch_as_json_is_the_job_alone(run: Run, submit: Submit) -> None:
    job_id = submit("echo")
    answer = run("jobs", "watch", job_id, "--json")
    assert (answer.status, answer.document["job_id"], answer.document["status"]) == (0, job_id, "SUCCESS")


def test_cancel_and_retry(run: Run, submit: Submit) -> None:
    job_id = submit("echo", "--queue", "unserved")
    canceled = run("jobs", "cancel", job_id)
    assert canceled.out.startswith(f"{job_id}  CANCELED: ")
    refused(run("jobs", "cancel", job_id), 1, job_id, "CANCELED")
    assert run("jobs", "retry", job_id).out == f"{job_id}  PENDING: echo on queue unserved runs again\n"
    refused(run("jobs", "retry", job_id), 1, job_id, "PENDING")
    assert run("jobs", "cancel", job_id, "--json").document["status"] == "CANCELED"
    assert run("jobs", "retry", job_id, "--json").document["status"] == "PENDING"


@pytest.mark.parametrize("verb", ["show", "watch", "cancel", "retry"])
def test_no_such_job(run: Run, verb: str) -> None:
    refused(run("jobs", verb, NOBODY), 1, f"there is no job {NOBODY}")
    refused(run("jobs", verb, NOBODY, "--json"), 1, f"there is no job {NOBODY}")


@pytest.mark.parametrize("verb", ["show", "watch", "cancel", "retry"])
def test_what_is_no_id_is_wrong_use(run: Run, verb: str) -> None:
    refused(
        run("jobs", verb, "nonsense"), 2, "Invalid value for 'JOB_ID'", f"see schedora jobs {verb} --help"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--payload", "[1]"], "the payload must be a JSON object"),
        (["--payload", "@/no/where"], "can't be read"),
        (["--arg", "novalue"], "--arg must be name=value"),
        (["--at", "tomorrow"], "--at must be an instant"),
        (["--priority", "11"], "'--priority'"),
        (["--priority", "x"], "'--priority'"),
        (["--max-retries", "101"], "'--max-retries'"),
        (["--retry-policy", "never"], "'fixed', 'exponential', 'jitter'"),
        (["--retry-base", "inf"], "retry_base_seconds is inf"),
        (["--wait", "-1"], "'--wait'"),
        (["--wait", "inf"], "not inf"),
        (["--workflow", "x"], "'--workflow'"),
        (["--nonsense"], "--nonsense"),
        (["more"], "more"),
    ],
)
def test_wrong_use_of_submit(run: Run, arguments: list[str], said: str) -> None:
    refused(run("jobs", "submit", "echo", *arguments), 2, said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--queue", "q" * 201], "queue must be 1 to 200 characters long"),
        (["--timeout", "0"], "timeout_seconds must be greater than 0"),
        (["--workflow", NOBODY], f"there is no workflow {NOBODY}"),
        (["--depends-on", NOBODY], "dependencies need a workflow_id"),
    ],
)
def test_what_the_server_refuses(run: Run, arguments: list[str], said: str) -> None:
    refused(run("jobs", "submit", "echo", *arguments), 1, said)


def test_terminal_codes_in_a_job_are_shown_and_not_obeyed(run: Run, submit: Submit) -> None:
    job_id = submit("fail", "--arg", r'message="\u001b[2Jgone\nmore"', "--max-retries", "0", "--wait", "30")
    shown, listed = run("jobs", "show", job_id), run("jobs", "list", "--status", "DEAD")
    assert "\x1b" not in shown.out + listed.out
    assert r"error            \x1b[2Jgone" in shown.out
    assert r"\x1b[2Jgone more" in listed.out
