import json
import re
from collections.abc import Callable
from typing import Any, cast

import pytest

from schedora.domain.job_state import JobState
from schedora.entrypoints.cli import job_logs
from schedora.entrypoints.sdk.client import SchedoraClient
from schedora.entrypoints.sdk.errors import Unavailable
from schedora.entrypoints.sdk.log_views import JobLogView
from tests.builders import a_job_id
from tests.programs import until
from tests.unit.entrypoints.cli.conftest import Answer, Run, refused

Submit = Callable[..., str]
NOBODY = "0198f000-0000-7000-8000-000000000000"
WHEN = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"


def say(submit: Submit, *words: str, fails: bool = False) -> str:
    payload = json.dumps({"words": words, "fails": fails})
    return submit("say", "--payload", payload, "--wait", "30")


def kept(run: Run, job_id: str) -> Answer:
    """Its log, once the worker has written it."""
    until(lambda: run("jobs", "logs", job_id).out, "the log to be kept")
    return run("jobs", "logs", job_id)


def test_lines_stand_under_their_run(run: Run, submit: Submit) -> None:
    job_id = say(submit, "one", "two\nlines")
    answer = kept(run, job_id)
    assert (answer.status, answer.err) == (0, "")
    head, first, second = answer.out.splitlines()
    assert head == "attempt 1 on the-worker"
    assert re.fullmatch(rf"{WHEN}  warning   one  number=1", first)
    assert re.fullmatch(rf"{WHEN}  warning   two lines  number=2", second)


def test_a_traceback_stands_below_its_line(run: Run, submit: Submit) -> None:
    job_id = say(submit, fails=True)
    _, line, *trace = kept(run, job_id).out.splitlines()
    assert re.fullmatch(rf"{WHEN}  error     failed", line)
    assert trace[0] == "    Traceback (most recent call last):"
    assert trace[-1].startswith("    ValueError: ")


def test_the_last_lines_of_one_attempt(run: Run, submit: Submit) -> None:
    job_id = say(submit, "one", "two", "three")
    kept(run, job_id)
    assert "two" not in run("jobs", "logs", job_id, "--tail", "1").out
    assert "three" in run("jobs", "logs", job_id, "-n", "1", "--attempt", "1").out
    assert run("jobs", "logs", job_id, "--attempt", "2").out == ""


def test_json_is_what_the_api_tells(run: Run, submit: Submit) -> None:
    job_id = say(submit, "one")
    kept(run, job_id)
    document = run("jobs", "logs", job_id, "--json").document
    [told] = document["runs"]
    [line] = told.pop("lines")
    assert document == {"job_id": job_id, "status": "SUCCESS", "runs": [told], "last": "1-1"}
    assert told == {"attempt": 1, "lease_token": 1, "worker_id": "the-worker", "dropped": 0}
    assert line.pop("timestamp").endswith("Z")
    assert line == {"level": "warning", "message": "one", "number": 1, "logger": "say"}


def test_following_ends_with_the_job(run: Run, submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = say(submit, "one", "two")
    kept(run, job_id)
    monkeypatch.setattr(job_logs, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(job_logs, "LAST_LINES_SECONDS", 0)
    answer = run("jobs", "logs", job_id, "--follow")
    assert (answer.status, len(answer.out.splitlines())) == (0, 3)
    told = [json.loads(line) for line in run("jobs", "logs", job_id, "-f", "--json").out.splitlines()]
    assert [(one["attempt"], one["worker_id"], one["line"]["message"]) for one in told] == [
        (1, "the-worker", "one"),
        (1, "the-worker", "two"),
    ]


def test_a_job_that_logged_nothing(run: Run, submit: Submit) -> None:
    answer = run("jobs", "logs", submit("echo", "--wait", "30"))
    assert (answer.status, answer.out, answer.err) == (0, "", "Nothing is kept of what it logged.\n")


def test_what_a_handler_says_can_do_nothing_to_the_terminal(run: Run, submit: Submit) -> None:
    assert r"\x1b[31mred" in kept(run, say(submit, "\x1b[31mred")).out


def test_a_job_that_is_not_there(run: Run) -> None:
    refused(run("jobs", "logs", NOBODY), 1, f"there is no job {NOBODY}")
    refused(run("jobs", "logs", NOBODY, "-f"), 1, f"there is no job {NOBODY}")


class AClient:
    """Answers one thing after the other, and time passes as somebody waits."""

    def __init__(self, *answers: JobLogView | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        self.now = 0.0

    def job_logs(self, _: object, **asked: Any) -> JobLogView:
        self.asked.append(asked)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def a_log(status: JobState, last: str | None = None) -> JobLogView:
    return JobLogView(job_id=a_job_id(), status=status, runs=(), last=last)


def followed(client: AClient, monkeypatch: pytest.MonkeyPatch) -> list[JobLogView]:
    monkeypatch.setattr(job_logs, "time", client)
    return list(job_logs.follow_log(cast("SchedoraClient", client), a_job_id(), tail=3, attempt=None))


def test_who_follows_goes_on_from_where_he_was_until_the_last_lines_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logs = [a_log(JobState.RUNNING), a_log(JobState.RUNNING, "1-2"), *[a_log(JobState.SUCCESS, "1-3")] * 6]
    client = AClient(*logs)
    assert followed(client, monkeypatch) == logs
    assert [asked.get("after") for asked in client.asked] == [None, None, "1-2", *["1-3"] * 5]
    assert [asked.get("tail") for asked in client.asked[:2]] == [3, None]


def test_a_job_that_gets_another_life_is_followed_further(monkeypatch: pytest.MonkeyPatch) -> None:
    dead, alive, done = a_log(JobState.DEAD), a_log(JobState.PENDING), a_log(JobState.SUCCESS)
    logs = [dead, dead, alive, *[done] * 6]
    assert followed(AClient(*logs), monkeypatch) == logs


def test_a_server_that_goes_away_is_waited_for_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, done = a_log(JobState.RUNNING), a_log(JobState.SUCCESS)
    client = AClient(runs, *[Unavailable("away")] * 100, *[done] * 6)
    assert followed(client, monkeypatch) == [runs, *[done] * 6], "nothing is told twice"
    with pytest.raises(Unavailable):
        followed(AClient(runs, *[Unavailable("away")] * 200), monkeypatch)
