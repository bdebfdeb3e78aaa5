"""What nobody has caught, told to the log in the shape of all lines: exceptions that end a program or a thread, those
that Python can't raise, and warnings.
"""

import asyncio
import logging
import sys
import threading
import warnings
from typing import Any, Final, TextIO

from schedora.application.log import Logger
from schedora.domain.errors import brief

log = Logger("schedora.process")

WARNINGS: Final = "py.warnings"
"""The name that the standard library gives the logger of warnings."""


def tell_uncaught() -> None:
    """From now on, for this process. What a person interrupts is told as Python does it."""
    sys.excepthook = _program
    sys.unraisablehook = _unraisable
    threading.excepthook = _thread
    warnings.showwarning = _warning


def tell_of_loop(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An event loop's handler of exceptions."""
    source = context.get("task") or context.get("future") or context.get("handle")
    name = source.get_name() if isinstance(source, asyncio.Task) else None
    log.error(
        "uncaught exception in the event loop",
        what=context.get("message"),
        **({} if name is None else {"task": name}),
        exc_info=context.get("exception"),
    )


def _program(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        log.critical("uncaught exception", exc_info=error.with_traceback(trace))


def _thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        name = None if args.thread is None else args.thread.name
        log.error("uncaught exception in a thread", thread=name, exc_info=args.exc_value)


def _unraisable(args: Any) -> None:
    where = None if args.object is None else brief(args.object)
    log.error("exception that could not be raised", what=args.err_msg, where=where, exc_info=args.exc_value)


def _warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    del line
    if file is not None:  # somebody has a place for it
        file.write(warnings.formatwarning(message, category, filename, lineno))
        return
    logging.getLogger(WARNINGS).warning(
        "%s", message, extra={"category": category.__name__, "file": f"{filename}:{lineno}"}
    )
