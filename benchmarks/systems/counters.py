"""What workers have done, in a file that they and the harness map into memory.

Standard library only: drivers import it from environments of their own.
"""

from __future__ import annotations

import mmap
import threading
import time
from pathlib import Path

SLOTS = 64
RING = 1 << 16  # latencies a slot keeps, the newest ones

# Words of 64 bits. A slot is a count of jobs, a count of latencies, and the ring of latencies.
_WORD = 8
_DONE, _TIMED, _FIRST = 0, 1, 2
_SCAN_LIMIT = _FIRST + RING


class Counters:
    """The side of one process that runs jobs, and alone writes its slot; its threads may share it."""

    def __init__(self, path: Path | str, slot: int) -> None:
        if not 0 <= slot < SLOTS:
            raise ValueError(f"slot {slot} is not one of 0 to {SLOTS - 1}")
        self._words = _map(Path(path))
        self._start = slot * _SCAN_LIMIT
        self._writing = threading.Lock()

    def done(self, at: int) -> None:
        """Count a job, and how long ago it was submitted: `at` of time.monotonic_ns(), or 0 where that is not asked."""
        words, start = self._words, self._start
        with self._writing:
            if at:
                timed = words[start + _TIMED]
                words[start + _FIRST + timed % RING] = time.monotonic_ns() - at
                words[start + _TIMED] = timed + 1
            words[start + _DONE] += 1


class Readings:
    """The harness' side: reads while workers write."""

    def __init__(self, path: Path) -> None:
        """Make the file, or empty it, before any worker opens it."""
        with path.open("wb") as file:
            file.truncate(SLOTS * _SCAN_LIMIT * _WORD)
        self._words = _map(path)

    def counts(self) -> list[int]:
        """Jobs done by slot."""
        return self._words[_DONE::_SCAN_LIMIT].tolist()

    def total(self) -> int:
        return sum(self.counts())

    def latencies(self) -> list[int]:
        """Nanoseconds from submission to the handler, of all slots; of each its newest RING."""
        found: list[int] = []
        for start in range(0, SLOTS * _SCAN_LIMIT, _SCAN_LIMIT):
            kept = min(self._words[start + _TIMED], RING)
            found.extend(self._words[start + _FIRST : start + _FIRST + kept])
        return found


def _map(path: Path) -> memoryview:
    with path.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")
