"""``schedora top`` as it is called."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.unit.entrypoints.cli.conftest import Run, invoke, refused
from tests.unit.entrypoints.cli.terminal import on_terminal


def test_once_tells_how_things_are(run: Run, submit: Callable[..., str]) -> None:
    submit("fail", "--max-retries", "0", "--wait", "30", "--queue", "other", "--arg", "message=no\x1b[2J")
    answer = run("top", "--once", "--interval", "0.5")
    assert answer.status == 0, answer
    assert "  healthy (database up)\n" in answer.out
    for part in (
        "submitted ",
        "QUEUE ",
        "WORKER ",
        "the-worker",
        "since counting began",
        "AskedToFail",
        "no\\x1b[2J",
    ):
        assert part in answer.out, part
    assert all(line == line.rstrip() for line in answer.out.splitlines())


def test_once_for_programs(run: Run, submit: Callable[..., str]) -> None:
    job_id = submit("fail", "--max-retries", "0", "--wait", "30", "--queue", "other")
    document = run("top", "--once", "--json", "--interval", "0.5").document
    assert list(document) == [
        "at", "url", "health", "notes", "rates", "queues", "workers", "types", "failures",
    ]  # fmt: skip
    assert set(document["rates"]) == {"submitted", "done", "failed"}
    assert job_id in {failure["job_id"] for failure in document["failures"]}
    assert "the-worker" in {one["worker_id"] for one in document["workers"]}
    assert {"fail"} <= {one["type"] for one in document["types"]}


def test_once_on_a_narrow_terminal_no_row_is_wider(server_url: str, submit: Callable[..., str]) -> None:
    submit("fail", "--max-retries", "0", "--wait", "30", "--arg", "message=no such mailbox " + "x" * 80)
    shown = on_terminal("top", "--once", "--interval", "0.5", columns=60, SCHEDORA_URL=server_url)
    assert shown.status == 0
    tables = shown.lines[shown.lines.index("queues") :]
    assert max(map(len, tables)) <= 60
    assert any(line.endswith("…") for line in tables)


def test_elsewhere_than_on_a_terminal_it_is_wrong_use(run: Run) -> None:
    refused(run("top"), 2, "top needs a terminal; --once prints how things are and exits")


@pytest.mark.parametrize("piped", ["stdin", "stdout", "stderr"])
def test_every_way_has_to_be_a_terminal(server_url: str, piped: str) -> None:
    shown = on_terminal("top", piped=[piped], SCHEDORA_URL=server_url)
    assert shown.status == 2
    assert ("top needs a terminal" in shown.text) == (piped != "stderr")


def test_a_terminal_that_can_only_write_lines_is_none(server_url: str) -> None:
    shown = on_terminal("top", TERM="dumb", SCHEDORA_URL=server_url)
    assert shown.status == 2
    assert "top needs a terminal" in shown.text


def test_documents_are_of_one_look(run: Run) -> None:
    refused(run("top", "--json"), 2, "--json goes with --once")


def test_a_url_that_is_none() -> None:
    refused(invoke("top", "--url", "nowhere"), 2, "--url")


def test_a_server_that_is_away() -> None:
    refused(invoke("top", "--once", "--url", "http://127.0.0.1:1"), 1, "http://127.0.0.1:1 can't be reached")


@pytest.mark.parametrize("arguments", [["--help"], ["top", "--help"], ["top"]])
def test_only_who_looks_loads_what_it_takes(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from schedora.entrypoints.cli.main import app\n"
        "try:\n"
        f"    app({arguments!r})\n"
        "except SystemExit:\n"
        "    pass\n"
        "print(sorted({'textual', 'httpx', 'asyncio'} & set(sys.modules)))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"
