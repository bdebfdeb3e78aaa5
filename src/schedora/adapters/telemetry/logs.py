"""Logs: one JSON object a line, or lines for people. structlog, with the standard library's loggers (uvicorn's
and other libraries') in the same shape.
"""

import contextvars
import logging
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TextIO

import structlog

from schedora.adapters.telemetry.atomic_stderr import atomic
from schedora.adapters.telemetry.json_line import json_line
from schedora.adapters.telemetry.log_capture import OFF
from schedora.adapters.telemetry.log_event import Event, event_of
from schedora.adapters.telemetry.uncaught import tell_uncaught
from schedora.application.log import (
    ATTEMPTS,
    HANDLERS,
    REQUESTS,
    LevelledLogger,
    as_record,
    formatted,
    message_text,
)
from schedora.application.run_scope import current_run
from schedora.application.telemetry.redaction import Redaction
from schedora.application.telemetry.repetition import Repetition

QUIET: Final = {
    "uvicorn.access": logging.WARNING, "uvicorn.error": logging.WARNING, "alembic": logging.WARNING,
    "asyncio": logging.WARNING, "httpcore": logging.INFO, "hpack": logging.INFO,
}  # fmt: skip
"""Others whose lines repeat what ours say, tell of every statement, or tell the headers of requests."""

OWN: Final = "schedora"


def configure_logs(
    *,
    level: str,
    json_lines: bool,
    kept_level: str = OFF,
    redaction: Redaction | None = None,
    stream: TextIO | None = None,
) -> None:
    """Sets up logging for this process; later calls replace earlier ones. Writes to standard error unless told
    otherwise. Lines of ``kept_level`` reach the handlers of the root, for whoever keeps them.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            formatted,
            as_record,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=LevelledLogger,
        cache_logger_on_first_use=True,
    )
    target = stream or sys.stderr
    written = LogWriter(
        atomic(target, encoding="utf-8" if json_lines else None),
        level,
        json_line if json_lines else _for_people(target),
        redaction or Redaction(),
    )
    root = logging.getLogger()
    root.handlers[:] = [written]
    least = written.level if kept_level == OFF else min(written.level, logging.getLevelName(kept_level))
    root.setLevel(least)
    logging.getLogger(OWN).setLevel(written.level)
    logging.getLogger(HANDLERS).setLevel(least)
    tell_uncaught()
    for name, quiet in QUIET.items():
        logger = logging.getLogger(name)
        logger.setLevel(max(quiet, written.level))
        logger.handlers[:] = []
        logger.propagate = True


class LogWriter(logging.StreamHandler[Any]):
    """Writes each line of ``level`` and above to the stream; of those that repeat themselves some, and how many more
    there were.
    """

    def __init__(
        self, stream: object, level: str, render: Callable[[Event], str], redaction: Redaction
    ) -> None:
        super().__init__(stream)
        self.setLevel(level)
        self._render = render
        self._redaction = redaction
        self._repetition = Repetition[_Kind, _Held]()
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Called with the lock held."""
        if _is_limited(record):
            # Its hash, for messages may be long, and kinds are remembered.
            kind = (record.name, record.levelno, hash(message_text(record.msg)))
            held = (record, contextvars.copy_context())
            if not self._repetition.admits(kind, held, time.monotonic()):
                self._tell_later()
                return
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        return self._render(event_of(record, self._redaction))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - named by the standard library
        """Nobody can be told of it: the stream is gone, or whoever logs has a mistake in an object of theirs."""

    def close(self) -> None:
        """Tells what was held back, first."""
        self.acquire()
        try:
            self._tell_repeated(None)
        finally:
            self.release()
        super().close()

    def _tell_later(self) -> None:
        until = self._repetition.holds_until() if self._timer is None else None
        if until is not None:
            self._timer = threading.Timer(max(until - time.monotonic(), 0), self._tell_what_is_over)
            self._timer.daemon = True
            self._timer.start()

    def _tell_what_is_over(self) -> None:
        self.acquire()
        try:
            self._timer = None
            self._tell_repeated(time.monotonic())
            self._tell_later()
        finally:
            self.release()

    def _tell_repeated(self, now: float | None) -> None:
        for repeated in self._repetition.take_over(now):
            record, context = repeated.last
            event = dict(context.run(event_of, record, self._redaction))
            event["message"] = f"repeated {repeated.count} times: {event['message']}"
            event["repeated"] = repeated.count
            with suppress(OSError, ValueError):  # the stream is gone, or closed
                self.stream.write(self._render(event) + self.terminator)
                self.flush()


_Kind = tuple[str, int, int]
_Held = tuple[logging.LogRecord, contextvars.Context]


def _is_limited(record: logging.LogRecord) -> bool:
    """Handlers may say what they like, and who asks for detail gets all of it; requests are one line each, and
    attempts are limited where they are told.
    """
    return (
        record.levelno >= logging.INFO
        and record.name not in {REQUESTS, ATTEMPTS}
        and current_run.get() is None
    )


def _for_people(target: TextIO) -> Callable[[Event], str]:
    colours = target.isatty()
    render = structlog.dev.ConsoleRenderer(
        colors=colours, event_key="message", exception_formatter=structlog.dev.plain_traceback
    )

    def rendered(event: Event) -> str:
        try:
            return str(render(None, "", event.copy()))
        except Exception:  # noqa: BLE001 - it calls the __str__ and __repr__ of anybody's objects
            return json_line(event)

    return rendered
