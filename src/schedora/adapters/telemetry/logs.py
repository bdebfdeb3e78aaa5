"""Logs: one JSON object a line, or lines for people. structlog, with the standard library's loggers (uvicorn's
and other libraries') in the same shape.
"""

import json
import logging
import re
import sys
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from schedora.domain.errors import brief

FIELD_LENGTH_MAX = 10_000

_PASSWORD = re.compile(r"(://[^\s:/@\"']*:)[^\s/@\"']+@")


def configure_logs(*, level: str, json_lines: bool, stream: TextIO | None = None) -> None:
    """Sets up logging for this process; later calls replace earlier ones. Writes to standard error unless told
    otherwise.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    target = stream or sys.stderr
    rendering: list[Processor] = (
        [structlog.processors.format_exc_info, _as_message, structlog.processors.JSONRenderer(_dumps)]
        if json_lines
        else [
            structlog.dev.ConsoleRenderer(
                colors=target.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        _DiscreetFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Their lines repeat what ours say, or tell of every statement.
    for name, least in (("uvicorn.access", logging.WARNING), ("uvicorn.error", logging.WARNING),
                        ("alembic", logging.WARNING), ("asyncio", logging.WARNING)):  # fmt: skip
        logging.getLogger(name).setLevel(max(least, root.level))
        logging.getLogger(name).handlers[:] = []
        logging.getLogger(name).propagate = True


class _DiscreetFormatter(structlog.stdlib.ProcessorFormatter):
    """Whole lines, whose URLs tell no password, wherever in them they stand."""

    def format(self, record: logging.LogRecord) -> str:
        return _discreet(super().format(record))


def rendered(event: EventDict) -> str:
    """The line of an event that says all that a line says."""
    return _discreet(_dumps(event))


def _discreet(line: str) -> str:
    return _PASSWORD.sub(r"\1***@", line) if "://" in line else line


def _as_message(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """``message`` is what others call the text of a line; a field of that name steps aside."""
    if "message" in event:
        event["message_"] = event.pop("message")
    return {
        "timestamp": event.pop("timestamp", None),
        "level": event.pop("level", None),
        "message": event.pop("event", None),
        **event,
    }


def _dumps(event: EventDict, **_: Any) -> str:
    try:
        return orjson.dumps(event, default=brief, option=orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, ValueError, RecursionError):
        # Half characters, numbers beyond 64 bits, values inside of themselves: the line is told all the same.
        return json.dumps({_name(name): _plain(value) for name, value in event.items()})


def _name(name: object) -> str:
    return name if isinstance(name, str) else brief(name)


def _plain(value: object) -> object:
    """As JSON where it is text or none of the things that JSON can't tell, else in words."""
    if value is None or isinstance(value, str | bool | int):
        return value
    return brief(value, FIELD_LENGTH_MAX)
