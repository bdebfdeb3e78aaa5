import json
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.unit.entrypoints.cli.conftest import Run, refused

NOBODY = "0198f000-0000-7000-8000-000000000000"


def a_workflow(*jobs: dict[str, Any], **fields: Any) -> str:
    return json.dumps({"name": f"flow-{uuid4()}", "jobs": jobs, **fields})


def a_step(key: str, job_type: str = "echo", *after: str, **fields: Any) -> dict[str, Any]:
    return {"key": key, "type": job_type, "depends_on": list(after), **fields}


SUCCEEDS = (a_step("a"), a_step("b", "sleep", "a", payload={"seconds": 0.6}))
FAILS = (
    a_step("a"),
    a_step("b", "fail", "a", payload={"message": "no"}, max_retries=0),
    a_step("c", "echo", "b"),
)
WAITS = (a_step("a", queue="unserved"), a_step("b", "echo", "a"))


def submitted(run: Run, *jobs: dict[str, Any]) -> str:
    answer = run("workflows", "submit", "-", "--json", stdin=a_workflow(*jobs))
    assert answer.status == 0, answer
    return str(answer.document["workflow_id"])


def test_submit_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "flow.json"
    file.write_text(a_workflow(*SUCCEEDS, name="from a file"))
    answer = run("workflows", "submit", str(file))
    assert answer.status == 0
    assert re.fullmatch(r"[0-9a-f-]{36}  submitted: from a file, 2 jobs, PENDING\n", answer.out)


def test_submit_as_json_names_the_jobs(run: Run) -> None:
    created = run("workflows", "submit", "-", "--json", stdin=a_workflow(*WAITS)).document
    assert [(job["key"], job["type"], job["status"]) for job in created["jobs"]] == [
        ("a", "echo", "PENDING"),
        ("b", "echo", "PENDING"),
    ]


def test_a_taken_name_is_a_conflict(run: Run) -> None:
    body = a_workflow(name="only once")
    assert run("workflows", "submit", "-", stdin=body).status == 0
    refused(run("workflows", "submit", "-", stdin=body), 1, "'only once'")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (a_workflow(a_step("a", "echo", "b"), a_step("b", "echo", "a")), "a -> b -> a"),
        (a_workflow(a_step("a", "echo", "a")), "a -> a"),
        (a_workflow(a_step("a", "echo", "x")), "'x', which is not in this workflow"),
        (a_workflow(a_step("a"), a_step("a")), "the key 'a' is used by more than one job"),
        (a_workflow(a_step("a", priority="5")), "jobs[0].priority"),
        (a_workflow(nonsense=1), "nonsense"),
        ('{"jobs": []}', "name"),
        ('{"name": "x", "jobs": 3}', "jobs"),
    ],
    ids=["circle", "itself", "unknown step", "key twice", "priority", "unknown field", "no name", "no jobs"],
)
def test_what_the_server_refuses(run: Run, body: str, said: str) -> None:
    refused(run("workflows", "submit", "-", stdin=body), 1, said)


@pytest.mark.parametrize(
    ("body", "said"), [("", "not JSON"), ("{", "not JSON"), ("[]", "must be a JSON object")]
)
def test_what_is_no_workflow_is_wrong_use(run: Run, body: str, said: str) -> None:
    refused(run("workflows", "submit", "-", stdin=body), 2, f"the workflow {'is ' * ('not' in said)}{said}")


def test_a_file_that_is_not_there_is_wrong_use(run: Run) -> None:
    refused(run("workflows", "submit", "/no/where.json"), 2, "'/no/where.json' can't be read: No such file")


def test_watch_until_success(run: Run) -> None:
    answer = run("workflows", "watch", submitted(run, *SUCCEEDS))
    assert answer.status == 0
    lines = answer.out.splitlines()
    assert "b  SUCCESS" in lines
    assert lines.index("a  SUCCESS") < lines.index("b  SUCCESS")
    assert re.fullmatch(r"flow-\S+  SUCCESS  2: 2 done", lines[-1])


def test_watch_ends_with_one_unless_it_is_success(run: Run) -> None:
    answer = run("workflows", "watch", submitted(run, *FAILS))
    assert answer.status == 1
    lines = answer.out.splitlines()
    assert "b  DEAD  no" in lines
    assert "c  CANCELED  upstream_failed" in lines
    assert lines[-1].endswith("  FAILED  3: 1 done, 1 failed, 1 canceled")


def test_watch_as_json_is_the_workflow_alone(run: Run) -> None:
    answer = run("workflows", "watch", submitted(run, *FAILS), "--json")
    assert answer.status == 1
    workflow = answer.document
    ids = {job["key"]: job["job_id"] for job in workflow["jobs"]}
    assert workflow["status"] == "FAILED"
    assert {(edge["from"], edge["to"]) for edge in workflow["edges"]} == {
        (ids["a"], ids["b"]),
        (ids["b"], ids["c"]),
    }


def test_show_tells_the_graph(run: Run) -> None:
    workflow_id = submitted(run, *FAILS)
    run("workflows", "watch", workflow_id)
    answer = run("workflows", "show", workflow_id)
    assert answer.status == 0
    assert re.search(r"^status +FAILED$", answer.out, re.MULTILINE)
    steps = [line.split()[1:] for line in answer.out.splitlines() if re.match(r"[0-9a-f]{8}-", line)]
    assert steps == [
        ["a", "echo", "SUCCESS", "1", "-", "-"],
        ["b", "fail", "DEAD", "1", "a", "no"],
        ["c", "echo", "CANCELED", "0", "b", "upstream_failed"],
    ]


def test_show_as_json(run: Run) -> None:
    workflow_id = submitted(run, *WAITS)
    workflow = run("workflows", "show", workflow_id, "--json").document
    assert (workflow["workflow_id"], workflow["total_jobs"], len(workflow["jobs"])) == (workflow_id, 2, 2)


def test_an_empty_workflow_has_no_jobs_to_tell_of(run: Run) -> None:
    workflow_id = submitted(run)
    assert run("workflows", "show", workflow_id, "--json").document["jobs"] == []
    assert re.search(r"^jobs +none$", run("workflows", "show", workflow_id).out, re.MULTILINE)


def test_list(run: Run) -> None:
    workflow_id = submitted(run, *WAITS)
    name = run("workflows", "show", workflow_id, "--json").document["name"]
    answer = run("workflows", "list", "--name", name)
    heading, row = answer.out.splitlines()
    assert heading.split() == ["WORKFLOW", "ID", "NAME", "STATUS", "DONE", "FAILED", "CANCELED", "CREATED"]
    assert row.split()[:6] == [workflow_id, name, "PENDING", "0/2", "0", "0"]
    listed = run("workflows", "list", "--status", "pending", "--name", name, "--json").document
    assert [workflow["workflow_id"] for workflow in listed["data"]] == [workflow_id]
    assert "jobs" not in listed["data"][0]


def test_cancel(run: Run) -> None:
    workflow_id = submitted(run, *WAITS)
    assert run("workflows", "cancel", workflow_id).out == f"{workflow_id}  CANCELED: 2 jobs canceled\n"
    refused(run("workflows", "cancel", workflow_id), 1, workflow_id, "CANCELED")
    assert run("workflows", "cancel", submitted(run, *WAITS), "--json").document["status"] == "CANCELED"


def test_retry(run: Run) -> None:
    waiting_id = submitted(run, *WAITS)
    refused(run("workflows", "retry", waiting_id), 1, waiting_id, "PENDING")
    failed_id = submitted(run, *FAILS)
    run("workflows", "watch", failed_id)
    assert run("workflows", "retry", failed_id, "--json").document["status"] in {"PENDING", "RUNNING"}
    assert run("workflows", "watch", failed_id, "--json").document["status"] == "FAILED"
    assert run("workflows", "retry", failed_id).out == f"{failed_id}  RUNNING: 2 jobs run again\n"


@pytest.mark.parametrize("verb", ["show", "watch", "cancel", "retry"])
def test_no_such_workflow(run: Run, verb: str) -> None:
    refused(run("workflows", verb, NOBODY), 1, f"there is no workflow {NOBODY}")
    refused(run("workflows", verb, "nonsense"), 2, "'WORKFLOW_ID'")


def test_a_job_joins_a_workflow(run: Run) -> None:
    workflow_id = submitted(run)
    first = run("jobs", "submit", "echo", "--workflow", workflow_id, "--json").document["job_id"]
    run("jobs", "submit", "echo", "--workflow", workflow_id, "--depends-on", first)
    assert run("workflows", "watch", workflow_id).out.splitlines()[-1].endswith("SUCCESS  2: 2 done")
