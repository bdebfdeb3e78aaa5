import re
from collections.abc import Callable

from tests.unit.entrypoints.cli.conftest import Run, refused

Submit = Callable[..., str]
NOBODY = "0198f000-0000-7000-8000-000000000000"


def test_one_reason_is_one_line(run: Run, submit: Submit) -> None:
    job_id = submit("nobody_knows_this")
    answer = run("why", job_id)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out == "PENDING: no live worker knows type nobody_knows_this\n"


def test_several_reasons_have_a_line_each(run: Run, submit: Submit) -> None:
    job_id = submit("nobody_knows_this", "--at", "2999-01-31T08:00:00Z")
    answer = run("why", job_id)
    summary, later, unknown = answer.out.splitlines()
    assert re.fullmatch(r"PENDING: due in [\d,]+ days; no live worker knows type nobody_knows_this", summary)
    assert re.fullmatch(r"- due in [\d,]+ days", later)
    assert unknown == "- no live worker knows type nobody_knows_this"


def test_a_job_that_has_ended_exits_with_0_too(run: Run, submit: Submit) -> None:
    job_id = submit("fail", "--arg", "message=no", "--max-retries", "0", "--wait", "30")
    answer = run("why", job_id)
    assert answer.status == 0
    assert re.fullmatch(r"DEAD: ended [\d.]+ s ago after 1 attempt, last error AskedToFail: no\n", answer.out)


def test_json_is_what_the_api_tells(run: Run, submit: Submit) -> None:
    job_id = submit("nobody_knows_this", "--queue", "unserved")
    document = run("why", job_id, "--json").document
    assert document == {
        "job_id": job_id,
        "status": "PENDING",
        "ready": False,
        "summary": "PENDING: no live worker knows type nobody_knows_this",
        "reasons": [
            {
                "code": "type_unknown",
                "message": "no live worker knows type nobody_knows_this",
                "count": 1,
                "type": "nobody_knows_this",
            }
        ],
    }


def test_what_a_job_says_can_do_nothing_to_the_terminal(run: Run, submit: Submit) -> None:
    job_id = submit("fail", "--arg", "message=\x1b[31mred", "--max-retries", "0", "--wait", "30")
    assert r"\x1b[31mred" in run("why", job_id).out


def test_a_job_that_is_not_there(run: Run) -> None:
    refused(run("why", NOBODY), 1, f"there is no job {NOBODY}")


def test_what_is_no_id(run: Run) -> None:
    answer = run("why", "7")
    assert (answer.status, answer.out) == (2, "")
