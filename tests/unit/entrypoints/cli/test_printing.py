import re
import sys
from datetime import UTC, datetime, timedelta

import pytest

from schedora.entrypoints.cli.documents import document
from schedora.entrypoints.cli.printing import cell, one_line, plain, print_details, print_table, span
from tests.unit.entrypoints.cli.conftest import Run
from tests.unit.entrypoints.cli.terminal import on_terminal

COLUMNS = ("ID", "NAME", "STATUS", "NOTE")
ROWS = [("the-id-that-is-long", "name", "RUNNING", "x" * 60)]


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(0), "0ms"),
        (timedelta(milliseconds=850.4), "850ms"),
        (timedelta(seconds=12.34), "12.3s"),
        (timedelta(minutes=4, seconds=5), "4m05s"),
        (timedelta(hours=3, minutes=7), "3h07m"),
        (timedelta(days=2, hours=4), "2d04h"),
    ],
)
def test_spans(length: timedelta, text: str) -> None:
    assert span(length) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (False, "no"),
        (3, "3"),
        ({"a": ["ü", None]}, '{"a": ["ü", null]}'),
        (["\x1b[2J"], r'["\u001b[2J"]'),
        (timedelta(seconds=1), "1.0s"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("carriage\rreturn", r"carriage\rreturn"),
    ],
)
def test_values_as_people_read_them(value: object, text: str) -> None:
    assert cell(value).plain == text


def test_instants_are_told_in_the_readers_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    instant = datetime(2030, 1, 31, 8, tzinfo=UTC)
    assert cell(instant).plain == instant.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def test_a_status_has_its_colour() -> None:
    assert cell("DEAD").style == "bold red"
    assert cell("anything").style == ""


def test_one_line() -> None:
    assert one_line(" a\n\tb \x1b[0m ") == r"a b \x1b[0m"
    assert plain("as it is") == "as it is"


def test_what_has_no_json_form_is_told() -> None:
    with pytest.raises(TypeError, match="a object has no JSON form"):
        document(object())


def test_a_table_that_is_not_looked_at_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [*ROWS, ("i", "two\nlines", None, "\x1b[2J")], spare=("NAME",))
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading == "ID                   NAME       STATUS   NOTE"
    assert first == f"the-id-that-is-long  name       RUNNING  {'x' * 60}"
    assert second == r"i                    two lines  -        \x1b[2J"


def test_a_table_without_rows_shows_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [])
    assert capsys.readouterr().out == "ID  NAME  STATUS  NOTE\n"


def test_details_leave_out_what_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    print_details([("a", 1), ("long name", "x"), ("nothing", None)])
    assert capsys.readouterr().out == "a          1\nlong name  x\n"


@pytest.fixture
def job_id(run: Run) -> str:
    """A job whose error is long."""
    text = "because " * 20
    job = run(
        "jobs", "submit", "fail", "--arg", f"message={text}", "--max-retries", "0", "--wait", "30", "--json"
    )
    return str(job.document["job_id"])


def listed(server_url: str, columns: int) -> tuple[list[str], list[str]]:
    """The columns shown, and the newest row, on a terminal so wide."""
    shown = on_terminal(
        "jobs", "list", "--limit", "1", columns=columns, piped=["stderr"], SCHEDORA_URL=server_url
    )
    assert shown.status == 0
    heading, _, row = shown.lines[:3]
    assert max(map(len, shown.lines)) <= max(columns, 37)
    return re.split(r" {2,}", heading.strip()), re.split(r" {2,}", row.strip())


def test_a_wide_terminal_shows_all_in_colours(server_url: str, job_id: str) -> None:
    headings, row = listed(server_url, 400)
    assert headings == ["JOB ID", "TYPE", "QUEUE", "STATUS", "PRIO", "ATTEMPT", "WORKER", "CREATED", "ERROR"]
    assert row[0] == job_id
    assert row[-1] == ("because " * 20).strip()
    shown = on_terminal("jobs", "list", "--limit", "1", columns=400, SCHEDORA_URL=server_url)
    assert "\x1b[1;31mDEAD" in shown.raw


def test_on_a_narrow_terminal_what_matters_least_goes_first(server_url: str, job_id: str) -> None:
    headings, row = listed(server_url, 110)
    assert headings == ["JOB ID", "TYPE", "QUEUE", "STATUS", "ATTEMPT", "ERROR"]
    assert (row[0], row[3]) == (job_id, "DEAD")
    assert row[-1].startswith("because because")
    assert row[-1].endswith("…")
    assert listed(server_url, 60) == (["JOB ID", "TYPE", "STATUS"], [job_id, "fail", "DEAD"])


def test_an_id_is_whole_on_the_narrowest_terminal(server_url: str, job_id: str) -> None:
    assert listed(server_url, 20) == (["JOB ID"], [job_id])


def test_every_table_fits_a_terminal(server_url: str, run: Run) -> None:
    run("queues", "pause", "q" * 100)
    for command in (
        ["jobs", "list"], ["workflows", "list"], ["workers", "list"], ["queues", "stats"], ["dlq", "list"],
    ):  # fmt: skip
        shown = on_terminal(*command, columns=80, piped=["stderr"], SCHEDORA_URL=server_url)
        assert shown.status == 0
        assert max(map(len, shown.lines)) <= 80
        assert len(re.split(r" {2,}", shown.lines[0].strip())) >= 3
    run("queues", "resume", "q" * 100)


def test_no_colours_where_nobody_looks(run: Run, job_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in run("jobs", "show", job_id).out
    assert not sys.stdout.isatty()
