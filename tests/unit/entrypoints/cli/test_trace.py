import re
from collections.abc import Callable

from tests.unit.entrypoints.cli.conftest import Run, refused

Submit = Callable[..., str]
NOBODY = "0198f000-0000-7000-8000-000000000000"


def test_a_job_is_a_waterfall(run: Run, submit: Submit) -> None:
    job_id = submit("fail", "--max-retries", "0", "--payload", '{"message": "no"}', "--wait", "30")
    answer = run("trace", job_id)
    assert answer.status == 0
    head, request, *rest = answer.out.splitlines()
    assert re.fullmatch(r"trace [0-9a-f]{32}: \d spans, [\d.]+m?s from [\d :-]+", head)
    assert re.match(r"(POST /api/v1/jobs|submit default) +[\d.]+", request)
    told = "\n".join(rest)
    assert re.search(r"^├─ wait: queue +[\d.]+m?s  +╌+$", told, re.MULTILINE)
    assert re.search(r"^└─ ✗ attempt 1 → DEAD on \S+ +[\d.]+m?s +━+$", told, re.MULTILINE)
    assert "✗ AskedToFail: no" in told
    assert "\x1b" not in answer.out


def test_for_programs_it_is_what_collectors_take(run: Run, submit: Submit) -> None:
    document = run("trace", submit("echo", "--wait", "30"), "--json").document
    assert document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert len(document["trace_id"]) == 32


def test_a_workflow_comes_in_parts(run: Run) -> None:
    steps = '[{"key": "a", "type": "echo"}, {"key": "b", "type": "echo", "depends_on": ["a"]}]'
    flow = f'{{"name": "traced by the command", "jobs": {steps}}}'
    flow = run("workflows", "submit", "-", "--json", stdin=flow).document["workflow_id"]
    assert run("workflows", "watch", flow).status == 0
    whole = run("trace", "--workflow", flow)
    assert "workflow traced by the command → SUCCESS" in whole.out
    assert whole.out.index("a (echo) SUCCESS") < whole.out.index("b (echo) SUCCESS")
    part = run("trace", "--workflow", flow, "--limit", "1")
    assert "b (echo)" not in part.out
    cursor = re.search(r"^1 of its 2 jobs: --cursor (\S+) goes on$", part.err, re.MULTILINE)
    assert cursor is not None
    rest = run("trace", "--workflow", flow, "--limit", "1", "--cursor", cursor[1])
    assert "b (echo)" in rest.out
    assert "goes on" not in rest.err


def test_what_is_not_there_and_what_is_not_asked_for(run: Run) -> None:
    refused(run("trace", NOBODY), 1, NOBODY)
    refused(run("trace", "--workflow", NOBODY), 1, NOBODY)
    refused(run("trace"), 2, "JOB_ID")
    refused(run("trace", NOBODY, "--workflow", NOBODY), 2, "JOB_ID")
    refused(run("trace", "7"), 2, "'JOB_ID'")
    refused(run("trace", NOBODY, "--cursor", "x"), 2, "--cursor goes with --workflow")
    refused(run("trace", NOBODY, "--limit", "7"), 2, "--limit goes with --workflow")
