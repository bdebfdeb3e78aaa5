"""How the command ends."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn
from unittest.mock import patch

import pytest
import typer

from schedora.entrypoints.cli import server
from schedora.entrypoints.cli.exits import check_encoding, explained
from schedora.entrypoints.cli.main import app as command
from tests.unit.entrypoints.cli.conftest import invoke, refused

Raise = Callable[[BaseException], None]


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Raise:
    """Lets the command ``queues stats`` raise something."""

    def arrange(error: BaseException) -> None:
        def reached(_url: str) -> NoReturn:
            raise error

        monkeypatch.setattr("schedora.entrypoints.cli.queues.reached", reached)

    return arrange


def test_a_defect_is_shown_as_what_it_is(raising: Raise) -> None:
    raising(AssertionError("a defect"))
    with pytest.raises(AssertionError, match="a defect"):
        invoke("queues", "stats")


def test_what_the_system_refuses_is_one_line(raising: Raise) -> None:
    raising(OSError(errno.ENOSPC, "No space left on device", "a.txt"))
    refused(invoke("queues", "stats"), 1, "schedora: No space left on device: a.txt")
    raising(OSError("plain"))
    refused(invoke("queues", "stats"), 1, "schedora: plain")
    assert explained(OSError()) == (1, "OSError")


def test_an_interrupt_ends_with_130(raising: Raise) -> None:
    raising(KeyboardInterrupt())
    answer = invoke("queues", "stats")
    assert answer.status == 130
    assert "Traceback" not in answer.out + answer.err


def test_bytes_that_are_no_text_are_wrong_use() -> None:
    refused(invoke("jobs", "submit", "\udcff"), 2, "argument 3 is not valid UTF-8", r"'\udcff'")
    check_encoding(["ü"])


@contextmanager
def deaf() -> Iterator[None]:
    """Standard output is a pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    with (
        suppress(BrokenPipeError),
        open(writing, "w", encoding="utf-8") as pipe,  # noqa: PTH123 - a descriptor
        patch.object(sys, "stdout", pipe),
    ):
        yield


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_that_has_seen_enough_ends_it_quietly(
    server_url: str, capfd: pytest.CaptureFixture[str], options: list[str]
) -> None:
    """As ``schedora jobs list | head -1`` does."""
    with deaf(), pytest.raises(SystemExit) as ended:
        command(["queues", "stats", "--url", server_url, *options])
    assert ended.value.code == 1
    assert capfd.readouterr().err == ""


def test_a_reader_that_goes_before_the_last_words_is_no_defect_either(
    raising: Raise, capfd: pytest.CaptureFixture[str]
) -> None:
    raising(typer.Exit(0))
    with deaf():
        sys.stdout.write("last words")
        with pytest.raises(SystemExit) as ended:
            command(["queues", "stats"])
    assert ended.value.code == 1
    assert capfd.readouterr().err == ""


def test_the_default_server_is_the_one_that_up_starts() -> None:
    assert server.DEFAULT_URL == "http://127.0.0.1:8000"


def test_wrong_use_that_no_command_can_be_named_for() -> None:
    assert explained(typer.BadParameter("not so")) == (2, "Invalid value: not so")
