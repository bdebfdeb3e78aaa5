import io
import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from schedora.adapters.telemetry.logs import configure_logs

OURS = ("schedora", "schedora.handler")
THEIRS = ("uvicorn.access", "uvicorn.error", "alembic", "asyncio")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (None, *OURS, *THEIRS)]
    before = [(logger, logger.level, logger.handlers[:], logger.propagate) for logger in loggers]
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook, warnings.showwarning
    yield
    sys.excepthook, sys.unraisablehook, threading.excepthook, warnings.showwarning = hooks
    for logger, level, handlers, propagate in before:
        logger.level, logger.handlers[:], logger.propagate = level, handlers, propagate
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Log:
    def __init__(self, level: str, *, json_lines: bool) -> None:
        self._stream = io.StringIO()
        configure_logs(level=level, json_lines=json_lines, stream=self._stream)
        self.ours = structlog.get_logger("schedora.test")

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line, parse_constant=pytest.fail) for line in self.text.splitlines()]


@pytest.fixture
def log() -> Log:
    return Log("INFO", json_lines=True)


@pytest.fixture
def console() -> Log:
    return Log("INFO", json_lines=False)


def test_each_line_is_an_object_that_begins_with_when_how_grave_and_what(log: Log) -> None:
    log.ours.info("job done", job_id="j1", duration_ms=1.5)
    [line] = log.lines
    assert list(line)[:3] == ["timestamp", "level", "message"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    assert line == {
        "level": "info", "message": "job done", "job_id": "j1", "duration_ms": 1.5, "logger": "schedora.test",
    }  # fmt: skip


def test_what_is_below_the_level_is_not_told(log: Log) -> None:
    log.ours.debug("a")
    log.ours.warning("b")
    logging.getLogger("other").debug("c")
    assert [line["message"] for line in log.lines] == ["b"]


def test_other_libraries_speak_in_the_same_shape(log: Log) -> None:
    logging.getLogger("other").warning("%d of %s", 2, "them", extra={"job_id": "j1"})
    [line] = log.lines
    assert (line["level"], line["message"], line["logger"], line["job_id"]) == (
        "warning", "2 of them", "other", "j1",
    )  # fmt: skip


@pytest.mark.parametrize("name", THEIRS)
def test_chatty_libraries_are_heard_when_it_is_grave(name: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    logging.getLogger(name).addHandler(handler)
    log = Log("DEBUG", json_lines=True)
    logging.getLogger(name).info("listens")
    logging.getLogger(name).error("broke")
    assert [line["message"] for line in log.lines] == ["broke"]
    assert handler not in logging.getLogger(name).handlers


def test_they_are_no_louder_than_all_others() -> None:
    log = Log("ERROR", json_lines=True)
    logging.getLogger("uvicorn.error").warning("x")
    assert log.lines == []


def test_what_is_bound_is_told(log: Log) -> None:
    structlog.contextvars.bind_contextvars(correlation_id="c1")
    log.ours.bind(worker_id="w1").info("x")
    [line] = log.lines
    assert (line["correlation_id"], line["worker_id"]) == ("c1", "w1")


def test_an_exception_is_one_line_without_the_values_of_variables(log: Log) -> None:
    secret = "open" + "-sesame"
    try:
        int("no" + str(len(secret)))
    except ValueError:
        log.ours.exception("it failed")
        logging.getLogger("other").exception("so did this")
    lines = log.lines
    assert [line["message"] for line in lines] == ["it failed", "so did this"]
    for line in lines:
        assert line["level"] == "error"
        assert line["exception"].startswith("Traceback (most recent call last):")
        assert "ValueError: invalid literal" in line["exception"]
    assert secret not in log.text


class _Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("a\nb\x00\x1b[31m", "a\nb\x00\x1b[31m"), ("\ud800", "\ud800"), (1 << 70, 1 << 70), (float("nan"), None), ({1: 2}, {"1": 2}),
        ({"a"}, "{'a'}"), (LOOP, "[[...]]"), (["\udfff"], r"['\udfff']"), (_Unspeakable(), None), (b"x", "b'x'"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_any_value_is_told_somehow(value: object, told: object) -> None:
    log = Log("INFO", json_lines=True)  # here, so that no handler of pytest's hears of it
    log.ours.info("x", value=value, job_id="j1")
    [line] = log.lines
    assert (line["message"], line["job_id"]) == ("x", "j1")
    if told is None:
        assert line["value"] is None or "_Unspeakable" in line["value"]
    else:
        assert line["value"] == told


def test_a_value_that_can_not_be_told_does_not_take_its_neighbours_along(log: Log) -> None:
    log.ours.info(
        "\ud800",
        value=float("inf"),
        big=1 << 70,
        text="grüße",
        flag=True,
        none=None,
        more=[1, {"a": 1 << 70}],
    )
    [line] = log.lines
    del line["timestamp"], line["logger"], line["level"]
    assert line == {
        "message": "\ud800", "value": "inf", "big": 1 << 70, "text": "grüße", "flag": True, "none": None,
        "more": f"[1, {{'a': {1 << 70}}}]",
    }  # fmt: skip


def test_a_field_does_not_take_the_place_of_the_message(log: Log) -> None:
    log.ours.info("sent", message="hello", timestamp="never", level="none")
    [line] = log.lines
    assert (line["message"], line["message_"], line["level"]) == ("sent", "hello", "info")
    assert line["timestamp"] != "never"


@pytest.mark.parametrize("json_lines", [True, False])
def test_urls_tell_no_password(json_lines: bool) -> None:
    log = Log("INFO", json_lines=json_lines)
    url = "postgresql://ada:open-sesame@db.example.org:5432/jobs"
    log.ours.warning(f"can't reach {url}", url=url, urls=[url, "redis://:open-sesame@cache"])
    log.ours.error("away", exc_info=ConnectionError(url))
    assert "open-sesame" not in log.text
    assert "postgresql://ada:***@db.example.org:5432/jobs" in log.text
    assert "redis://:***@cache" in log.text


def test_urls_without_a_password_stay_as_they_are(log: Log) -> None:
    for url in ("http://127.0.0.1:8000/a@b", "postgresql://ada@db/x", "see http://x:80, then y@z"):
        log.ours.info(url)
    assert [line["message"] for line in log.lines] == [
        "http://127.0.0.1:8000/a@b", "postgresql://ada@db/x", "see http://x:80, then y@z",
    ]  # fmt: skip


def test_people_get_lines_for_people(console: Log) -> None:
    console.ours.info("job done", job_id="j1")
    logging.getLogger("other").warning("too")
    first, second = console.text.splitlines()
    assert "job done" in first
    assert "job_id=j1" in first
    assert "warning" in second
    assert "\x1b" not in console.text


def test_people_get_tracebacks_as_they_know_them(console: Log) -> None:
    secret = "open" + "-sesame"
    try:
        int("no" + str(len(secret)))
    except ValueError:
        console.ours.exception("it failed")
    assert "Traceback (most recent call last):\n" in console.text
    assert "ValueError: invalid literal" in console.text
    assert secret not in console.text


def test_a_later_call_replaces_an_earlier_one(log: Log) -> None:
    later = Log("WARNING", json_lines=True)
    log.ours.info("x")
    later.ours.warning("y")
    assert (log.text, [line["message"] for line in later.lines]) == ("", ["y"])


def test_it_goes_to_standard_error_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="INFO", json_lines=True)
    structlog.get_logger("x").info("said")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["message"] == "said"
