"""``schedora doctor``: what is wrong, in words and as a document."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schedora.entrypoints.cli.doctor import INDENT
from tests.unit.entrypoints.cli.conftest import Run, invoke, refused
from tests.unit.entrypoints.cli.terminal import on_terminal
from tests.unit.entrypoints.sdk.odd_server import OddServer, an_odd_server
from tests.unit.entrypoints.sdk.serving import served


def a_finding(severity: str, **fields: Any) -> dict[str, Any]:
    return {
        "code": f"code_{severity}", "severity": severity, "check": "work", "found": f"found {severity}",
        "consequence": "It follows.", "fix": "Do it.", "details": {"pid": 7, "name": None},
    } | fields  # fmt: skip


def a_check(name: str, not_done: str | None = None) -> dict[str, Any]:
    return {"name": name, "status": "ok" if not_done is None else "not_done", "not_done": not_done}


def a_diagnosis(*findings: dict[str, Any], checks: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {
        "status": findings[0]["severity"] if findings else "ok",
        "examined_at": "2030-01-31T08:00:00.125000Z",
        "seconds": 0.125,
        "findings": list(findings),
        "checks": list(checks or (a_check("database"),)),
    }


@pytest.fixture
def server() -> Iterator[OddServer]:
    with an_odd_server() as server:
        yield server


def test_a_system_that_is_well() -> None:
    with served() as url:  # none that other tests have left jobs in
        answer = invoke("doctor", "--url", url)
        document = invoke("doctor", "--url", url, "--json").document
    assert answer.status == 0
    *_, last = answer.out.splitlines()
    assert last.startswith("All is well: ")
    assert document["status"] == "ok"


def test_a_system_that_is_not(run: Run) -> None:
    queue = "paused by the doctor's test"
    run("jobs", "submit", "echo", "--queue", queue)
    run("queues", "pause", queue)
    answer = run("doctor")
    assert answer.status == 1
    assert (
        f"{INDENT}Fix: schedora queues resume 'paused by the doctor'\"'\"'s test'" in answer.out.splitlines()
    )
    as_json = run("doctor", "--json")
    assert (as_json.status, as_json.document["status"]) == (1, "warning")
    run("queues", "resume", queue)
    run("queues", "purge", queue, "--yes")


def test_the_worst_comes_first_and_what_could_not_be_done_last(server: OddServer) -> None:
    told = a_diagnosis(
        a_finding("critical"), a_finding("warning", found="bad \x1b[31mname"), a_finding("ok"),
        checks=(a_check("one"), a_check("two", "no right"), a_check("three", "no right"), a_check("four", "late")),
    )  # fmt: skip
    server.says(200, {"data": told})
    answer = invoke("doctor", "--url", server.url)
    assert answer.status == 1
    assert answer.out.splitlines() == [
        "critical  found critical (code_critical)",
        "          It follows.",
        "          Fix: Do it.",
        "warning   bad \\x1b[31mname (code_warning)",
        "          It follows.",
        "          Fix: Do it.",
        "ok        found ok (code_ok)",
        "not done  two, three: no right",
        "not done  four: late",
        "2 findings by 4 checks in 0.1 s, 3 of them not done or not whole",
    ]


@pytest.mark.parametrize(
    ("severity", "status", "last"),
    [
        ("ok", 0, "All is well: 1 check in 0.1 s"),
        ("warning", 1, "1 finding by 1 check in 0.1 s"),
        ("critical", 1, "1 finding by 1 check in 0.1 s"),
    ],
)
def test_the_exit_status_is_for_scripts(server: OddServer, severity: str, status: int, last: str) -> None:
    server.says(200, {"data": a_diagnosis(a_finding(severity))})
    answer = invoke("doctor", "--url", server.url)
    assert (answer.status, answer.out.splitlines()[-1]) == (status, last)
    assert invoke("doctor", "--url", server.url, "--json").status == status


def test_as_json_it_is_what_the_server_said(server: OddServer) -> None:
    told = a_diagnosis(a_finding("warning"), checks=(a_check("one", "no right"),))
    server.says(200, {"data": told})
    assert invoke("doctor", "--json", "--url", server.url).document == told


def test_checks_that_were_not_done_are_no_finding(server: OddServer) -> None:
    server.says(200, {"data": a_diagnosis(checks=(a_check("one", "no right"),))})
    answer = invoke("doctor", "--url", server.url)
    assert answer.status == 0
    assert answer.out.splitlines() == [
        "not done  one: no right",
        "All is well: 1 check in 0.1 s, 1 of them not done or not whole",
    ]


@pytest.mark.parametrize(
    ("findings", "checks", "colour"),
    [
        ((), (), "\x1b[32m"),
        ((), (a_check("one", "late"),), "\x1b[33m"),
        ((a_finding("warning"),), (), "\x1b[1;33m"),
        ((a_finding("critical"),), (), "\x1b[1;31m"),
    ],
)
def test_on_a_terminal_it_is_green_when_all_is_well(
    server: OddServer, findings: tuple[dict[str, Any], ...], checks: tuple[dict[str, Any], ...], colour: str
) -> None:
    server.says(200, {"data": a_diagnosis(*findings, checks=checks)})
    shown = on_terminal("doctor", "--url", server.url)
    last = [line for line in shown.raw.splitlines() if line.strip()][-1]
    assert last.startswith(colour)


def test_nobody_there() -> None:
    refused(invoke("doctor", "--url", "http://127.0.0.1:1"), 1, "can't be reached", "--direct")


def test_without_a_server_a_data_directory_is_of_no_use(tmp_path: Path) -> None:
    refused(invoke("doctor", "--data-dir", str(tmp_path)), 2, "--data-dir goes with --direct")


def test_directly_it_makes_no_data(tmp_path: Path) -> None:
    place = tmp_path / "data"
    refused(
        invoke("doctor", "--direct", "--data-dir", str(place)),
        1,
        f"no embedded server keeps its data in {place}",
    )
    assert not place.exists()


def test_directly_a_database_that_is_away_is_a_finding() -> None:
    answer = invoke("doctor", "--direct", "--json", DATABASE_URL="postgresql://me:secret@127.0.0.1:1/none")
    assert answer.status == 1
    assert answer.document["findings"][0]["code"] == "database_away"
    assert "secret" not in json.dumps(answer.document)


def test_directly_wrong_settings_are_wrong_use() -> None:
    refused(invoke("doctor", "--direct", DATABASE_URL="nonsense"), 2, "DATABASE_URL")
