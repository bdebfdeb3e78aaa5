"""Lines that are alike, written a few at a time."""

import asyncio
import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from schedora.adapters.telemetry import log_lines
from schedora.adapters.telemetry.log_lines import LINES_MAX, LogLines
from tests.programs import PATIENCE_SECONDS

NAME = "schedora.test_lines"


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def lines(stream: io.StringIO) -> Iterator[LogLines]:
    logger = logging.getLogger(NAME)
    logger.setLevel(logging.INFO)
    yield LogLines(NAME, logging.StreamHandler(stream))
    logger.setLevel(logging.NOTSET)


async def test_a_line_says_what_all_lines_say(lines: LogLines, stream: io.StringIO) -> None:
    lines.tell("request", status=201, duration_ms=0.5, message_="x")
    assert stream.getvalue() == ""
    lines.flush()
    [line] = map(json.loads, stream.getvalue().splitlines())
    assert list(line) == ["timestamp", "level", "message", "status", "duration_ms", "message_", "logger"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"])
    assert (line["level"], line["message"], line["logger"]) == ("info", "request", NAME)


async def test_lines_are_written_by_themselves_and_once(
    lines: LogLines, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "WRITE_AFTER_SECONDS", 0)
    lines.tell("one")
    lines.tell("two")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not stream.getvalue():
            await asyncio.sleep(0)
    lines.flush()
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["one", "two"]
    lines.tell("three")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while stream.getvalue().count("\n") < 3:
            await asyncio.sleep(0)


async def test_many_are_written_at_once(lines: LogLines, stream: io.StringIO) -> None:
    for _ in range(LINES_MAX):
        lines.tell("request")
    assert stream.getvalue().count("\n") == LINES_MAX


async def test_passwords_are_hidden(lines: LogLines, stream: io.StringIO) -> None:
    lines.tell("request", correlation_id="postgresql://ada:secret@db")
    lines.flush()
    assert "secret" not in stream.getvalue()


async def test_nothing_is_told_that_the_level_leaves_out(lines: LogLines, stream: io.StringIO) -> None:
    logging.getLogger(NAME).setLevel(logging.WARNING)
    lines.tell("request")
    lines.flush()
    assert stream.getvalue() == ""


@pytest.mark.parametrize("error", [BrokenPipeError, ValueError])
async def test_a_stream_that_is_gone_costs_nobody_anything(
    lines: LogLines, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def gone(_: str) -> int:
        raise error

    monkeypatch.setattr(stream, "write", gone)
    for _ in range(LINES_MAX):
        lines.tell("request")
    lines.flush()
