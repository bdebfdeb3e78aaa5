"""``schedora torture`` touches nothing that it was not given, and asks before it uses what holds jobs."""

import json
from pathlib import Path
from typing import Any

import pytest

from schedora_torture.evidence import Unreadable
from schedora_torture.target_check import Inhabitants, objection
from tests.unit.entrypoints.cli.conftest import invoke, refused
from tests.unit.torture.reports import BREACH, a_report


def test_one_redis_is_started_or_named() -> None:
    refused(invoke("torture", "--redis", "--redis-url", "redis://there"), 2, "--redis", "not both")


def test_logs_go_into_no_directory_that_holds_anything(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    refused(invoke("torture", "--logs", str(tmp_path)), 2, "is not empty")


@pytest.mark.parametrize("minutes", ["0", "-1", "x"])
def test_minutes_are_some(minutes: str) -> None:
    refused(invoke("torture", "--minutes", minutes), 2, "--minutes")


def test_a_database_that_can_not_be_reached() -> None:
    refused(
        invoke("torture", "--database-url", "postgresql://nobody@127.0.0.1:1/nothing"), 1, "can't be reached"
    )


def test_what_is_no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    refused(invoke("torture", "--database-url", "nothing"), 2, "--database-url")


def test_linux_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    refused(invoke("torture"), 2, "needs Linux")


NAMED = ("--database-url", "postgresql://u@h/d")


def inhabited(monkeypatch: pytest.MonkeyPatch, **found: int) -> None:
    async def inhabitants(_url: str) -> Inhabitants:
        return Inhabitants(description="db", **{"jobs": 0, "workers": 0, **found})

    monkeypatch.setattr("schedora_torture.target_check.inhabitants", inhabitants)


def test_a_database_with_jobs_is_not_touched_unless_somebody_says_yes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inhabited(monkeypatch, jobs=7)
    refused(invoke("torture", *NAMED), 2, "holds 7 jobs", "--yes")


def test_a_database_with_live_workers_is_not_touched_whoever_says_yes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inhabited(monkeypatch, workers=1)
    refused(invoke("torture", *NAMED, "--yes"), 2, "1 live worker")


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_file_that_could_not_be_written_is_told_before_anything_begins(tmp_path: Path, option: str) -> None:
    refused(invoke("torture", option, str(tmp_path / "nowhere" / "report")), 2, option, "no directory")


@pytest.mark.parametrize(
    ("fields", "status", "told"),
    [
        ({}, 0, "HELD"),
        ({"breaches": [BREACH]}, 1, "VIOLATED"),
        ({"jobs": 0}, 1, "NOTHING TRIED"),
    ],
)
def test_what_came_of_it_is_the_exit_status_and_in_the_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fields: dict[str, Any], status: int, told: str
) -> None:
    monkeypatch.setattr("schedora.entrypoints.cli.torture.run_torture", lambda _plan: a_report(**fields))
    files = [tmp_path / name for name in ("report.json", "report.html")]
    result = invoke(
        "torture", "--json", str(files[0]), "--html", str(files[1]), "--logs", str(tmp_path / "logs")
    )
    assert result.status == status
    assert result.out.startswith(told)
    assert json.loads(files[0].read_text())["held"] is (status == 0)
    assert told in files[1].read_text()


def test_nobody_may_agree_to_what_takes_jobs_from_live_workers() -> None:
    assert objection(Inhabitants(description="db", jobs=7, workers=0)) is None
    assert "1 live worker" in (objection(Inhabitants(description="db", jobs=0, workers=1)) or "")


def test_where_nobody_can_tell_what_came_of_it_that_is_no_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def unreadable(*_: Any) -> None:
        raise Unreadable("what is left could not be read")

    monkeypatch.setattr("schedora_torture.run.torture", unreadable)
    logs = str(tmp_path / "logs")
    refused(invoke("torture", "--logs", logs), 1, f"what is left could not be read. Logs: {logs}")
