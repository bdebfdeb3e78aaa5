import io
import os
import sys
from pathlib import Path

import pytest

import schedora
from schedora.entrypoints.cli.main import main
from tests.unit.entrypoints.cli.conftest import invoke, refused

GROUPS = ("jobs", "workflows", "workers", "queues", "dlq")


def test_version() -> None:
    assert invoke("--version").out == f"schedora {schedora.__version__}\n"


def test_help_names_every_command() -> None:
    answer = invoke("--help")
    assert answer.status == 0
    for name in ("up", "api", "worker", "reaper", "migrate", "health", *GROUPS):
        assert f" {name} " in answer.out


@pytest.mark.parametrize(
    ("group", "verbs"),
    [
        ("jobs", "submit list show cancel retry watch"),
        ("workflows", "submit list show watch cancel retry"),
        ("workers", "list drain"),
        ("queues", "stats pause resume purge"),
        ("dlq", "list requeue"),
    ],
)
def test_each_group_has_its_commands_and_each_command_its_help(group: str, verbs: str) -> None:
    listed = invoke(group, "--help")
    assert listed.status == 0
    for verb in verbs.split():
        assert f" {verb} " in listed.out
        told = invoke(group, verb, "--help")
        assert told.status == 0
        assert "--url" in told.out
        assert "--json" in told.out


@pytest.mark.parametrize("arguments", [[], *([group] for group in GROUPS)], ids=" ".join)
def test_a_command_without_a_verb_is_wrong_use(arguments: list[str]) -> None:
    refused(invoke(*arguments), 2, f"Missing command (see {' '.join(['schedora', *arguments])} --help)")


def test_a_command_that_there_is_not() -> None:
    refused(invoke("job"), 2, "No such command 'job'")
    refused(invoke("jobs", "sumbit"), 2, "No such command 'sumbit'", "submit")


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["schedora", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_a_terminal_that_lacks_a_character_gets_its_escape(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert run_main(monkeypatch, "jobs", "list", "--type", "ü", "--url", server_url) == 0
    assert run_main(monkeypatch, "queues", "pause", "ü", "--url", server_url) == 0
    assert run_main(monkeypatch, "queues", "resume", "ü", "--url", server_url) == 0
    assert out.buffer.getvalue().endswith(b"\\xfc  paused\n\\xfc  resumed\n")


def test_streams_that_the_caller_has_closed_hear_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert run_main(monkeypatch, "nonsense") == 2
    for stream in (sys.stdout, sys.stderr):
        assert Path(str(stream.name)) == Path(os.devnull)
        stream.close()


def test_a_stream_of_another_kind_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    assert run_main(monkeypatch, "--version") == 0
    assert out.getvalue() == f"schedora {schedora.__version__}\n"
