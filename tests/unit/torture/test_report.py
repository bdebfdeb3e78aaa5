"""What a report says of itself, to people and to programs."""

import json

import pytest

from schedora_torture.faults import FaultKind
from schedora_torture.log_files import LogFindings, TracebackFound
from schedora_torture.report import (
    BREACHES_TOLD,
    LOGGED_TOLD,
    MOVES_TOLD,
    again,
    document,
    lines,
    verdict_line,
)
from tests.unit.torture.plans import a_plan
from tests.unit.torture.reports import BREACH, a_report


def test_what_held() -> None:
    report = a_report()
    told = list(lines(report))
    assert report.held
    assert told[0] == verdict_line(report) == "HELD: nothing lost, nothing twice."
    assert f"Again: {again(report.plan)}" in told
    assert "claims         1,300, effects 1,190, writes fenced 3 at least" in told
    assert "faults         2 struck, of 3 in the timetable" in told
    assert any(line.startswith("drained        2.5 s") for line in told)
    assert any("kill_worker" in line and "median 3.5 s, at most 4.0 s, of 2 jobs" in line for line in told)
    assert any("postgres back" in line and "median 1.5 s" in line for line in told)
    assert any(line.startswith("kill_redis") and "left out" in line for line in told)
    assert any("traceback: service failed: KeyError (api-1.1.log)" in line for line in told)


def test_what_did_not_hold_is_told_with_its_end() -> None:
    report = a_report(breaches=[BREACH] * (BREACHES_TOLD + 7), drain_seconds=None, interrupted=True)
    told = list(lines(report))
    assert not report.held
    assert told[0] == f"VIOLATED: {BREACHES_TOLD + 7} violations: one_success {BREACHES_TOLD + 7}"
    assert told[-1].startswith("… and 7 more")
    assert told.count("one_success: job 1 (torture.<b>): it succeeded 2 times") == BREACHES_TOLD
    assert f"    … {30 - MOVES_TOLD} moves before" in told
    assert "    move 29" in told
    assert "    move 0" not in told
    assert "Ended before its time; what was there was checked." in told
    assert any(line.startswith("drained        no") for line in told)


def test_nothing_has_held_where_nothing_was_tried() -> None:
    report = a_report(jobs=0, interrupted=True)
    assert not report.held
    assert verdict_line(report).startswith("NOTHING TRIED")


def test_pick_up_is_told_of_all_jobs_in_the_seconds_without_a_fault() -> None:
    assert a_report().quiet_pick_up_ms == (5.0, 40.0)
    assert a_report(seconds=[]).quiet_pick_up_ms is None


def test_what_the_text_leaves_out_of_the_logs_is_told() -> None:
    found = tuple(
        TracebackFound(said=f"error {n}", times=1, first_in="a.log") for n in range(LOGGED_TOLD + 2)
    )
    told = list(lines(a_report(logs=LogFindings(tracebacks=found))))
    assert any("and 2 more sorts of tracebacks" in line for line in told)


def test_the_document_has_everything() -> None:
    told = json.loads(json.dumps(document(a_report(breaches=[BREACH]))))
    assert (told["held"], told["seed"], told["jobs"], told["fenced"]) == (False, 1, 1200, 3)
    assert told["breaches"][0]["history"] == list(BREACH.history)
    assert [fault["kind"] for fault in told["faults"]] == ["kill_worker", "crash_postgres"]
    assert told["faults"][0]["elsewhere_seconds"] == [3.0, 4.0]
    assert told["left_out"] == [FaultKind.KILL_REDIS.value]
    assert told["logs"]["tracebacks"][0]["times"] == 2
    assert len(told["seconds"]) == 20


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "schedora torture --minutes 5 --seed 1 --workers 3"),
        ({"own_redis": True}, "schedora torture --minutes 5 --seed 1 --workers 3 --redis"),
        (
            {
                "apis": 1,
                "reapers": 3,
                "rate": 2.5,
                "database_url": "postgresql://u:secret@h/d",
                "redis_url": "redis://h",
            },
            (
                "schedora torture --minutes 5 --seed 1 --workers 3 --apis 1 --reapers 3 --rate 2.5 --database-url …"
                " --redis-url …"
            ),
        ),
    ],
)
def test_the_command_that_repeats_it_has_all_that_the_seed_does_not_decide(
    fields: dict[str, object], told: str
) -> None:
    assert again(a_plan(**fields)) == told
