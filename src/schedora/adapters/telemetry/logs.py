"""Logs: one JSON object a line, or lines for people. structlog, with the standard library's loggers (uvicorn's
and other libraries') in the same shape.
"""

import logging
import sys
from collections.abc import Callable
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from schedora.adapters.telemetry.json_line import json_line
from schedora.adapters.telemetry.kept_lines import OFF
from schedora.adapters.telemetry.log_event import Event, event_of
from schedora.application.log import FIELDS, HANDLERS
from schedora.domain.redaction import Redaction

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
            structlog.stdlib.PositionalArgumentsFormatter(),
            _as_record,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    target = stream or sys.stderr
    written = LogWriter(
        target, level, json_line if json_lines else _for_people(target), redaction or Redaction()
    )
    root = logging.getLogger()
    root.handlers[:] = [written]
    least = written.level if kept_level == OFF else min(written.level, logging.getLevelName(kept_level))
    root.setLevel(least)
    logging.getLogger(OWN).setLevel(written.level)
    logging.getLogger(HANDLERS).setLevel(least)
    for name, quiet in QUIET.items():
        logger = logging.getLogger(name)
        logger.setLevel(max(quiet, written.level))
        logger.handlers[:] = []
        logger.propagate = True


class LogWriter(logging.StreamHandler[TextIO]):
    """Writes each line of ``level`` and above to the stream."""

    def __init__(
        self, stream: TextIO, level: str, render: Callable[[Event], str], redaction: Redaction
    ) -> None:
        super().__init__(stream)
        self.setLevel(level)
        self._render = render
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        return self._render(event_of(record, self._redaction))


def _as_record(_: WrappedLogger, __: str, event: EventDict) -> tuple[tuple[str], dict[str, Any]]:
    """The last step of structlog: a record, whose fields are found by ``event_of``."""
    more = {name: event.pop(name) for name in ("exc_info", "stack_info", "stacklevel") if name in event}
    message = event["event"]
    return (message if isinstance(message, str) else repr(message),), {**more, "extra": {FIELDS: event}}


def _for_people(target: TextIO) -> Callable[[Event], str]:
    colours = target.isatty()
    render = structlog.dev.ConsoleRenderer(
        colors=colours, event_key="message", exception_formatter=structlog.dev.plain_traceback
    )
    return lambda event: str(render(None, "", event.copy()))
