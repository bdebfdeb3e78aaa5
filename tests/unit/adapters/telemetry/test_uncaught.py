"""What nobody has caught is a line like all others."""

import asyncio
import gc
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from schedora.adapters.telemetry import uncaught


@pytest.fixture(autouse=True)
def hooked() -> Iterator[None]:
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook, warnings.showwarning
    uncaught.tell_uncaught()
    yield
    sys.excepthook, sys.unraisablehook, threading.excepthook, warnings.showwarning = hooks


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


class Broken(Exception):
    pass


def raises() -> None:
    raise Broken


def test_an_exception_that_ends_the_program(lines: list[Any]) -> None:
    error = Broken()
    sys.excepthook(Broken, error, None)
    assert lines == [{"event": "uncaught exception", "log_level": "critical", "exc_info": error}]


def test_an_interruption_is_told_as_python_does_it(
    lines: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert lines == []
    assert capsys.readouterr().err.strip() == "KeyboardInterrupt"


def test_an_exception_that_ends_a_thread(lines: list[Any]) -> None:
    for target in (raises, sys.exit):
        thread = threading.Thread(target=target, name="the-thread")
        thread.start()
        thread.join()
    [line] = lines
    assert (line["event"], line["thread"]) == ("uncaught exception in a thread", "the-thread")
    assert isinstance(line["exc_info"], Broken)


def test_an_exception_that_can_not_be_raised(lines: list[Any]) -> None:
    class Breaks:
        def __del__(self) -> None:
            raises()

    Breaks()
    gc.collect()
    [line] = lines
    assert line["event"] == "exception that could not be raised"
    assert isinstance(line["exc_info"], Broken)
    assert "__del__" in line["where"]


async def test_an_exception_that_an_event_loop_is_left_with(lines: list[Any]) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(uncaught.tell_of_loop)
    loop.call_soon(raises)
    await asyncio.sleep(0)
    task = loop.create_task(asyncio.sleep(0))  # not the running one: its context can't be entered twice
    loop.call_exception_handler({"message": "odd", "task": task})
    await task
    first, second = lines
    assert isinstance(first["exc_info"], Broken)
    assert (second["what"], second["task"], second["exc_info"]) == ("odd", task.get_name(), None)


def test_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    warnings.showwarning("beware of 100%", UserWarning, "there.py", 7)
    [record] = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == (
        "py.warnings",
        logging.WARNING,
        "beware of 100%",
    )
    assert (vars(record)["category"], vars(record)["file"]) == ("UserWarning", "there.py:7")
