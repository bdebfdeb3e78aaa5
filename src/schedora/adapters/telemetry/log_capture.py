"""What is logged inside of a handler's run, whoever logs it, is left with the run."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from schedora.adapters.telemetry.json_line import short_line
from schedora.adapters.telemetry.log_event import own_fields
from schedora.application.log import HANDLERS
from schedora.application.run_scope import current_run
from schedora.application.telemetry.redaction import Redaction
from schedora.domain.ids import JobId, JsonText
from schedora.domain.run_log import LINE_LENGTH_MAX

OFF: Final = "OFF"

OnLine = Callable[[JobId, JsonText], None]


@contextmanager
def keeping_lines(level: str, redaction: Redaction, on_line: OnLine | None = None) -> Iterator[None]:
    """As long as it is open, lines of this level and above are kept; none if it is ``OFF``. ``on_line`` is given each,
    too, by whatever thread it comes from.

    Of the loggers, only that of handlers is made to tell them all; others tell what their own levels let through.
    """
    if level == OFF:
        yield
        return
    keeper = _LogCapture(level, redaction, on_line)
    logger, root = logging.getLogger(HANDLERS), logging.getLogger()
    before = logger.level
    logger.setLevel(min(logger.getEffectiveLevel(), keeper.level))
    root.addHandler(keeper)
    try:
        yield
    finally:
        root.removeHandler(keeper)
        logger.setLevel(before)


class _LogCapture(logging.Handler):
    def __init__(self, level: str, redaction: Redaction, on_line: OnLine | None) -> None:
        super().__init__(level)
        self._redaction = redaction
        self._on_line = on_line

    def handle(self, record: logging.LogRecord) -> bool:
        """Without the lock: runs are thread-safe."""
        run = current_run.get()
        if run is not None:
            line = short_line(own_fields(record, self._redaction), LINE_LENGTH_MAX)
            run.leave_line(line)
            if self._on_line is not None:
                self._on_line(run.job.job_id, line)
        if record.levelno >= logging.WARNING and not _heard(record, self):
            # As it would be without this handler.
            logging.lastResort and logging.lastResort.handle(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        self.handle(record)


def _heard(record: logging.LogRecord, besides: logging.Handler) -> bool:
    """Whether another handler gets the record."""
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None:
        if any(handler is not besides for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False
