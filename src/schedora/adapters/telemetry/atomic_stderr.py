"""Standard error, for processes that share it: what each writes goes out in one piece, however long it is."""

import os
import select
import stat
import sys
import time
from typing import Final, TextIO

if sys.platform != "win32":
    import fcntl

STANDARD_ERROR: Final = 2
PATIENCE_SECONDS: Final = 1.0
"""For so long another process is waited for: one that stands still must not keep all from going on."""


class StandardError:
    """Buffers nothing, for buffers write what is longer than they are piece by piece, and others come between.

    So does a pipe that is full: who writes to one locks out the others meanwhile. A process that ends leaves no lock.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._locks = sys.platform != "win32" and stat.S_ISFIFO(os.fstat(STANDARD_ERROR).st_mode)

    def write(self, text: str) -> None:
        """Raises ``OSError`` where nobody reads it."""
        self._lock()
        try:
            rest = text.encode(self._encoding, "backslashreplace")
            while rest:
                try:
                    rest = rest[os.write(STANDARD_ERROR, rest) :]
                except BlockingIOError:  # somebody has made it so that it does not wait
                    select.select([], [STANDARD_ERROR], [])
        finally:
            if self._locks:
                fcntl.lockf(STANDARD_ERROR, fcntl.LOCK_UN)

    def _lock(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._locks:
            try:
                fcntl.lockf(STANDARD_ERROR, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._locks = time.monotonic() < deadline
                time.sleep(0.001)
            except OSError:
                self._locks = False  # there is no such thing here
            else:
                return


def atomic(stream: TextIO, *, encoding: str | None) -> TextIO | StandardError:
    """``stream``, or in its place the descriptor behind it where that is standard error."""
    try:
        if stream.fileno() == STANDARD_ERROR:
            return StandardError(encoding or stream.encoding)
    except (AttributeError, OSError, ValueError):  # there is none, or nothing is behind it
        pass
    return stream
