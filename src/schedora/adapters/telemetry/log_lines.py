"""Many lines that are alike, such as those of requests: written a few at a time, past the machinery of logging,
which takes longer for a line than a request may take.
"""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from schedora.adapters.telemetry.json_line import json_line
from schedora.adapters.telemetry.log_event import timestamp
from schedora.application.telemetry.redaction import Redaction

WRITE_AFTER_SECONDS = 0.05
LINES_MAX = 500


class LogLines:
    """Lines of one logger, at level info, in the shape of all others and where they go. For one event loop.

    A line is written within ``WRITE_AFTER_SECONDS``, or by ``flush``; a process that is killed takes the last ones
    with it.
    """

    def __init__(
        self, name: str, handler: "logging.StreamHandler[Any]", redaction: Redaction | None = None
    ) -> None:
        self._name = name
        self._logger = logging.getLogger(name)
        self._handler = handler
        self._redacted = (redaction or Redaction()).text
        self._lines: list[str] = []

    def tell(self, message: str, **fields: Any) -> None:
        if not self._logger.isEnabledFor(logging.INFO):
            return
        if not self._lines:
            asyncio.get_running_loop().call_later(WRITE_AFTER_SECONDS, self.flush)
        event = {"timestamp": timestamp(datetime.now(UTC)), "level": "info", "message": message}
        for name, value in fields.items():
            event[name] = self._redacted(value) if isinstance(value, str) else value
        event["logger"] = self._name
        self._lines.append(json_line(event))
        if len(self._lines) >= LINES_MAX:
            self.flush()

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self._handler.acquire()
            try:
                with suppress(
                    OSError, ValueError
                ):  # the stream is gone, or closed: whoever logs must not pay for it
                    self._handler.stream.write("\n".join([*lines, ""]))
                    self._handler.flush()
            finally:
                self._handler.release()
