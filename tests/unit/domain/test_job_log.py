"""The log of a job, from what its runs left."""

import pytest

from schedora.domain.errors import InvalidField
from schedora.domain.ids import JsonText, LeaseToken, WorkerId
from schedora.domain.job_log import JobLog, LogPlace, job_log
from schedora.domain.job_state import JobState
from schedora.domain.run_log import RunLog
from tests.builders import a_job_id

JOB = a_job_id()


def a_run_log(token: int, lines: int, *, dropped: int = 0, attempt: int | None = None) -> RunLog:
    return RunLog(
        job_id=JOB,
        lease_token=LeaseToken(token),
        attempt=attempt or token,
        worker_id=WorkerId("w1"),
        lines=tuple(JsonText(f"{token}.{number + dropped + 1}") for number in range(lines)),
        lines_dropped=dropped,
    )


def told(log: JobLog) -> list[tuple[int, int, list[str]]]:
    return [(run.lease_token, run.dropped, [str(line) for line in run.lines]) for run in log.runs]


def the_log(
    *run_logs: RunLog, after: str | None = None, attempt: int | None = None, tail: int | None = None
) -> JobLog:
    place = None if after is None else LogPlace.parse(after)
    return job_log(JOB, JobState.RUNNING, run_logs, after=place, attempt=attempt, tail=tail)


def test_without_a_run_log_there_is_nothing() -> None:
    log = the_log()
    assert (log.job_id, log.status, log.runs, log.last) == (JOB, JobState.RUNNING, (), None)


def test_all_runs_with_their_lines_and_what_is_kept_no_more() -> None:
    log = the_log(a_run_log(1, 2), a_run_log(2, 0), a_run_log(3, 1, dropped=4))
    assert told(log) == [(1, 0, ["1.1", "1.2"]), (3, 4, ["3.5"])]
    assert str(log.last) == "3-5"


def test_one_attempt_alone() -> None:
    log = the_log(a_run_log(1, 1), a_run_log(2, 1, attempt=1), a_run_log(3, 1, attempt=2), attempt=1)
    assert [run.lease_token for run in log.runs] == [1, 2]
    assert str(log.last) == "2-1"


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (1, [(3, 0, ["3.2"])]),
        (2, [(3, 0, ["3.1", "3.2"])]),
        (3, [(1, 7, ["1.9"]), (3, 0, ["3.1", "3.2"])]),
        (99, [(1, 7, ["1.8", "1.9"]), (3, 0, ["3.1", "3.2"])]),
    ],
)
def test_the_last_lines_reach_back_over_runs(tail: int, expected: list[tuple[int, int, list[str]]]) -> None:
    log = the_log(a_run_log(1, 2, dropped=7), a_run_log(2, 0), a_run_log(3, 2), tail=tail)
    assert told(log) == expected
    assert str(log.last) == "3-2"


@pytest.mark.parametrize(
    ("after", "expected", "last"),
    [
        ("0-0", [(1, 0, ["1.1", "1.2"]), (2, 1, ["2.2"])], "2-2"),
        ("1-1", [(1, 0, ["1.2"]), (2, 1, ["2.2"])], "2-2"),
        ("1-2", [(2, 1, ["2.2"])], "2-2"),
        ("1-99", [(2, 1, ["2.2"])], "2-2"),
        ("2-1", [(2, 0, ["2.2"])], "2-2"),
        ("2-2", [], "2-2"),
        ("3-0", [], "3-0"),
    ],
)
def test_what_came_after_a_place(after: str, expected: list[tuple[int, int, list[str]]], last: str) -> None:
    log = the_log(a_run_log(1, 2), a_run_log(2, 1, dropped=1), after=after)
    assert told(log) == expected
    assert str(log.last) == last


def test_a_run_is_told_with_its_attempt_and_its_worker() -> None:
    (run,) = the_log(a_run_log(7, 1, attempt=3)).runs
    assert (run.attempt, run.lease_token, run.worker_id) == (3, 7, "w1")


def test_the_last_lines_of_several_runs_stay_in_order() -> None:
    assert told(the_log(a_run_log(1, 1), a_run_log(2, 1), a_run_log(3, 1), tail=3)) == [
        (1, 0, ["1.1"]), (2, 0, ["2.1"]), (3, 0, ["3.1"]),
    ]  # fmt: skip


def test_lines_dropped_since_a_place_are_told_as_such() -> None:
    assert told(the_log(a_run_log(1, 1, dropped=9), after="1-4")) == [(1, 5, ["1.10"])]


def test_going_on_from_the_last_place_tells_each_line_once() -> None:
    first = the_log(a_run_log(1, 2))
    grown = (a_run_log(1, 3), a_run_log(2, 1))
    assert told(the_log(*grown, after=str(first.last))) == [(1, 0, ["1.3"]), (2, 0, ["2.1"])]


@pytest.mark.parametrize("text", ["", "1", "1-", "-1", "1-x", "1-2-3", "1-2\n", f"1-{10**18}", "\u0661-1"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(InvalidField) as caught:
        LogPlace.parse(text)
    assert (caught.value.field, caught.value.value) == ("after", text)
    assert caught.value.allowed == "what an earlier answer calls last"
