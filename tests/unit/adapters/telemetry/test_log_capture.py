"""What is logged inside of a run is left with it."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import orjson
import pytest
import structlog

from schedora.adapters.telemetry.log_capture import keeping_lines
from schedora.application.context import JobContext
from schedora.application.log import HANDLERS
from schedora.application.run_scope import current_run
from schedora.application.telemetry.redaction import Redaction
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import JobId, JsonText
from schedora.domain.run_log import LINE_LENGTH_MAX
from tests.builders import NOON, a_claimed_job

log = logging.getLogger("theirs")


class AScope:
    def __init__(self) -> None:
        self.job: ClaimedJob = a_claimed_job()
        self.started_at: datetime = NOON
        self.left: list[str] = []

    def leave_line(self, line: JsonText) -> None:
        self.left.append(line)

    def leave_span(self, span: JsonText) -> None: ...

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.left]

    @property
    def messages(self) -> list[str]:
        return [line["message"] for line in self.lines]


@contextmanager
def inside(scope: AScope) -> Iterator[None]:
    token = current_run.set(scope)
    try:
        yield
    finally:
        current_run.reset(token)


@pytest.fixture(autouse=True)
def nothing_set_up() -> Iterator[None]:
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    yield
    root.setLevel(level)
    structlog.reset_defaults()
    if before is not None:
        structlog.configure(**before)


@pytest.fixture
def scope() -> Iterator[AScope]:
    scope = AScope()
    with keeping_lines("INFO", Redaction()), inside(scope):
        yield scope


def a_context(scope: AScope) -> JobContext:
    return JobContext(scope.job, link=None, upstream={}, result_bytes_max=20)  # type: ignore[arg-type] # not asked


def test_a_line_is_kept_without_what_its_run_says_anyway(scope: AScope) -> None:
    log.warning("%s of them", 2, extra={"size": 3, "job_id": "another"})
    [line] = scope.lines
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "warning",
        "message": "2 of them",
        "size": 3,
        "job_id": "another",
        "logger": "theirs",
    }


def test_lines_below_the_level_are_not_kept(scope: AScope) -> None:
    log.debug("a")
    log.info("b")
    assert scope.messages == ["b"]


def test_nothing_is_kept_outside_of_a_run_nor_when_it_is_off(scope: AScope) -> None:
    with inside(None):  # type: ignore[arg-type] # nobody's
        log.error("a")
    assert scope.left == []
    with keeping_lines("OFF", Redaction()):
        log.error("b")
    assert scope.messages == ["b"]  # by the other, once


def test_the_context_logs_with_fields_where_nothing_is_set_up(scope: AScope) -> None:
    context = a_context(scope)
    context.log.info("hello %s", "you", answer=42, password="x")
    try:
        int("no")
    except ValueError:
        context.log.exception("broke")
    hello, broke = scope.lines
    assert (hello["message"], hello["answer"], hello["password"]) == ("hello you", 42, "***")
    assert "job_id" not in hello
    assert broke["exception"].endswith("ValueError: invalid literal for int() with base 10: 'no'")
    assert "exc_info" not in broke
    assert context.log is context.logger


def test_the_context_logs_for_its_run_in_any_thread(scope: AScope) -> None:
    context = a_context(scope)
    thread = threading.Thread(target=lambda: context.log.bind(n=1).info("elsewhere"))
    thread.start()
    thread.join()
    assert scope.messages == ["elsewhere"]


async def test_what_a_run_starts_belongs_to_it(scope: AScope) -> None:
    await asyncio.gather(asyncio.to_thread(log.info, "thread"), asyncio.create_task(_tells("task")))
    assert sorted(scope.messages) == ["task", "thread"]


async def _tells(message: str) -> None:
    log.info(message)


@pytest.mark.parametrize("text", ["x" * 100_000, "\n" * 100_000, "ü\ud800" * 50_000])
def test_long_lines_are_shortened_and_say_so(scope: AScope, text: str) -> None:
    log.error("long", extra={"text": text, "short": "s", "number": 5})
    log.error(text)
    for line in scope.left:
        assert len(line) <= LINE_LENGTH_MAX
        assert "\n" not in line
    first, second = scope.lines
    assert (first["message"], first["short"], first["number"]) == ("long", "s", 5)
    assert f"({len(text)} characters)" in first["text"]
    assert f"({len(text)} characters)" in second["message"]


def test_half_characters_are_told_in_words(scope: AScope) -> None:
    """Readers refuse the escape of one, and with it the whole answer that it stands in."""
    log.info("half \ud800", extra={"a\udfff": "b\ud800", "n": 2**70})
    orjson.loads(scope.left[0])
    assert scope.lines[0]["message"] == "half \\ud800"
    assert scope.lines[0]["a\\udfff"] == "b\\ud800"
    assert scope.lines[0]["n"] == 2**70


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (None, ""),
        ("", ""),
        (5, "5"),
        ({"password": "hunter2"}, "{'password': '***'}"),
        (ValueError("token=hunter2"), "token=***"),
    ],
)
def test_whatever_is_logged_as_a_message_is_text(scope: AScope, message: object, told: str) -> None:
    a_context(scope).log.info(message, n=1)
    assert [(line["message"], line["n"]) for line in scope.lines] == [(told, 1)]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("%(n)d of %(of)s", {"n": 1, "of": "x"}), "1 of x"),
        (("all: %s", {"n": 1}), "all: {'n': 1}"),
        (("%s of %s", 1, {"n": 1}), "1 of {'n': 1}"),
        (("100% sure",), "100% sure"),
    ],
)
def test_arguments_of_a_message_are_those_of_the_standard_library(
    scope: AScope, args: tuple[object, ...], told: str
) -> None:
    a_context(scope).log.info(*args)
    log.info(*args)
    assert scope.messages == [told, told]


def test_more_fields_than_have_room_go(scope: AScope) -> None:
    log.error("many", extra={f"field{number}": "x" * 100 for number in range(1_000)})
    [line] = scope.lines
    assert len(scope.left[0]) <= LINE_LENGTH_MAX
    assert (line["message"], line["level"], line["shortened"]) == ("many", "error", True)


def test_warnings_are_still_told_where_nobody_has_set_up_logging(
    scope: AScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []

    class Last(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            heard.append(record.getMessage())
            return True

    monkeypatch.setattr(logging, "lastResort", Last())
    root = logging.getLogger()
    handlers = [handler for handler in root.handlers if type(handler).__name__ != "_LogCapture"]
    for handler in handlers:
        root.removeHandler(handler)
    try:
        log.warning("a")
        log.info("b")
    finally:
        for handler in handlers:
            root.addHandler(handler)
    log.warning("c")
    assert heard == ["a"]


def test_levels_are_as_before_afterwards() -> None:
    logger = logging.getLogger(HANDLERS)
    before = logger.level
    with keeping_lines("DEBUG", Redaction()):
        assert logger.isEnabledFor(logging.DEBUG)
    assert logger.level == before


@pytest.mark.parametrize(
    "setup",
    [
        {},
        {
            "logger_factory": structlog.PrintLoggerFactory(),
            "wrapper_class": structlog.make_filtering_bound_logger(0),
        },
        {
            "processors": [
                structlog.stdlib.add_log_level,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            "logger_factory": structlog.stdlib.LoggerFactory(),
            "wrapper_class": structlog.stdlib.BoundLogger,
        },
    ],
)
def test_however_a_program_has_set_structlog_up_lines_are_kept_once_with_their_fields(
    scope: AScope, setup: dict[str, Any]
) -> None:
    structlog.configure(**setup)
    context = a_context(scope)
    context.log.info("hello", answer=42, password="x")
    try:
        int("no")
    except ValueError:
        context.log.exception("broke")
    log.info("theirs")
    hello, broke, theirs = scope.lines
    assert (hello["message"], hello["answer"], hello["password"]) == ("hello", 42, "***")
    assert "job_id" not in hello
    assert "ValueError" in broke["exception"]
    assert theirs["message"] == "theirs"
    assert "answer" not in theirs


def test_others_are_given_each_line_that_is_kept(scope: AScope) -> None:
    told: list[tuple[JobId, JsonText]] = []
    with keeping_lines("WARNING", Redaction(), lambda job_id, line: told.append((job_id, line))):
        log.info("not this one")
        log.warning("this one")
    assert [job_id for job_id, _ in told] == [scope.job.job_id]
    assert json.loads(told[0][1])["message"] == "this one"
