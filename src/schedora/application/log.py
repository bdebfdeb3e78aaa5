"""Loggers. Where a program has set structlog up, as Schedora's own processes do, its lines go where that says;
elsewhere to the logging of the standard library, as those of a library should, and never to standard output.
"""

import logging
from typing import Any

import structlog

_PLAIN = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.filter_by_level,
    structlog.dev.ConsoleRenderer(
        pad_event_to=0, colors=False, exception_formatter=structlog.dev.plain_traceback
    ),
)


class Logger:
    """Has the methods of structlog's loggers. Decides at each use, for it is often made before anything is set up."""

    def __init__(self, name: str) -> None:
        self._configured = structlog.get_logger(name)
        self._plain = structlog.wrap_logger(
            logging.getLogger(name), processors=_PLAIN, wrapper_class=structlog.stdlib.BoundLogger
        )

    def __getattr__(self, method: str) -> Any:
        return getattr(self._configured if structlog.is_configured() else self._plain, method)
