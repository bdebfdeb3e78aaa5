from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.unit.entrypoints.cli.conftest import Run, refused
from tests.unit.entrypoints.cli.terminal import on_terminal

Submit = Callable[..., str]
NOBODY = "0198f000-0000-7000-8000-000000000000"


@pytest.fixture
def dead(run: Run, submit: Submit) -> Callable[..., str]:
    """Submits a job that dies; answers its id."""
    run("queues", "resume", "other")

    def die(*arguments: str) -> str:
        return submit("fail", "--arg", "message=no", "--max-retries", "0", "--wait", "30", *arguments)

    return die


def test_list_tells_of_dead_jobs_alone(run: Run, submit: Submit, dead: Callable[..., str]) -> None:
    first, second = dead(), dead()
    alive = submit("echo", "--wait", "30")
    answer = run("dlq", "list")
    assert answer.status == 0
    ids = [line.split()[0] for line in answer.out.splitlines()]
    assert ids[:3] == ["JOB", second, first]
    assert alive not in ids
    assert "  DEAD  " in answer.out
    assert answer.out.splitlines()[1].endswith("  no")


def test_list_filters_and_goes_page_by_page(run: Run, dead: Callable[..., str]) -> None:
    first, second = dead("--queue", "other"), dead("--queue", "other")
    page = run("dlq", "list", "--queue", "other", "--limit", "1", "--json").document
    assert [job["job_id"] for job in page["data"]] == [second]
    rest = run(
        "dlq", "list", "--queue", "other", "--limit", "1", "--cursor", page["next_cursor"], "--json"
    ).document
    assert [job["job_id"] for job in rest["data"]] == [first]
    assert run("dlq", "list", "--limit", "1").err.startswith("There is more: --cursor ")
    assert run("dlq", "list", "--type", "echo", "--json").document["data"] == []
    assert run("dlq", "list", "--error-kind", "timeout", "--json").document["data"] == []
    assert run("dlq", "list", "--error-kind", "AskedToFail", "--json").document["data"] != []


def test_requeue_the_jobs_named(run: Run, dead: Callable[..., str]) -> None:
    first, second = dead(), dead()
    assert run("dlq", "requeue", first, second).out == "2 jobs requeued\n"
    for job_id in (first, second):
        assert len(run("jobs", "watch", job_id, "--json").document["errors"]) == 2
    assert run("dlq", "requeue", first, "--json").document == {"requeued": 1}


def test_requeue_by_options(run: Run, dead: Callable[..., str]) -> None:
    dead("--queue", "other")
    assert run("dlq", "requeue", "--type", "fail", "--error-kind", "timeout").out == "0 jobs requeued\n"
    assert run("dlq", "requeue", "--queue", "other", "--json").document["requeued"] >= 1


def test_requeue_all(run: Run, dead: Callable[..., str]) -> None:
    job_id = dead()
    assert run("dlq", "requeue", "--all", "--json").document["requeued"] >= 1
    run("jobs", "watch", job_id)
    assert run("dlq", "requeue", "--json").document["requeued"] >= 1


def test_a_person_is_asked_before_all_are_requeued(server_url: str) -> None:
    shown = on_terminal("dlq", "requeue", typed="n\n", SCHEDORA_URL=server_url)
    assert shown.status == 1
    assert shown.lines == ["Run every dead job again? [y/N]: schedora: nothing done"]
    assert on_terminal("dlq", "requeue", "--all", SCHEDORA_URL=server_url).status == 0


def test_what_is_not_dead_is_not_requeued(run: Run, submit: Submit) -> None:
    job_id = submit("echo", "--wait", "30")
    refused(run("dlq", "requeue", job_id), 1, job_id, "SUCCESS")
    refused(run("dlq", "requeue", NOBODY), 1, f"there is no job {NOBODY}")


def test_jobs_are_named_or_chosen_and_not_both(run: Run) -> None:
    refused(run("dlq", "requeue", NOBODY, "--queue", "q"), 2, "not both")
    refused(run("dlq", "requeue", NOBODY, "--all"), 2, "not both")
    refused(run("dlq", "requeue", str(uuid4())[:-1]), 2, "JOB_ID")
