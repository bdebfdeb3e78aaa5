"""How long one test of a mutant may go on: where it spins or sleeps for good, nobody has to see its time out."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

LOOK_SECONDS: Final = 1.0
SPIN_SECONDS: Final = 5.0
"""Of the processor, beyond some times of what the test takes when nothing is changed."""
SPIN_TIMES: Final = 5.0
SLEEP_SECONDS: Final = 10.0
"""In which no thread runs or wants to. The tests by themselves sleep for less than a second."""
_THREADS: Final = Path("/proc/self/task")


@contextmanager
def bounded(seconds: float, on_hang: Callable[[], None]) -> Iterator[None]:
    """Calls ``on_hang`` where a test that takes so many seconds by itself spins or sleeps. A machine that is busy makes no
    difference: who waits for a processor does neither.
    """
    awake = _awake()
    began, spun = time.monotonic(), time.process_time()

    def look(_signal: int, _frame: FrameType | None) -> None:
        # In this order: the processor may be taken away in between, and that is no sleep.
        now = time.monotonic()
        busiest = max(total - awake.get(thread, 0.0) for thread, total in _awake().items())
        if now - began - busiest > SLEEP_SECONDS:
            on_hang()
        if time.process_time() - spun > SPIN_SECONDS + SPIN_TIMES * seconds:
            on_hang()

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, LOOK_SECONDS, LOOK_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _awake() -> dict[str, float]:
    """For how many seconds each thread has run or waited for a processor."""
    return {thread.name: _awake_seconds(thread) for thread in _THREADS.iterdir()}


def _awake_seconds(thread: Path) -> float:
    try:
        ran, waited, _ = (thread / "schedstat").read_text().split()
    except OSError:  # it has ended
        return 0.0
    return (int(ran) + int(waited)) / 1e9
