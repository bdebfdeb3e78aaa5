"""Logs: one JSON object a line, or lines for people. structlog, with the standard library's loggers (uvicorn's
and other libraries') in the same shape.
"""

import logging
import sys
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger


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
        structlog.stdlib.ProcessorFormatter(
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


def _as_message(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """``message`` is what others call the text of a line."""
    return {
        "timestamp": event.pop("timestamp", None),
        "level": event.pop("level", None),
        "message": event.pop("event", None),
        **event,
    }


def _dumps(value: Any, **_: Any) -> str:
    return orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS).decode(
        "utf-8", "backslashreplace"
    )
