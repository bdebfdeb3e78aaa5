"""How long one test of a mutant may go on: where it spins or sleeps for good, there is no need to see the minute out."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

LOOK_SECONDS: Final = 1.0
SPIN_SECONDS: Final = 5.0
"""Of the processor, beyond some times of what the test took when nothing was changed."""
SPIN_TIMES: Final = 5.0
SLEEP_SECONDS: Final = 10.0
"""In which no thread ran or wanted to. The tests themselves sleep for less than a second."""
TASKS: Final = Path("/proc/self/task")


@contextmanager
def bounded(seconds: float, on_hang: Callable[[], None]) -> Iterator[None]:
    """Calls ``on_hang`` where a test that took so many seconds by itself spins or sleeps. A machine that is busy
    makes no difference: to wait for a processor is neither.
    """
    spun_max = SPIN_SECONDS + SPIN_TIMES * seconds
    spun, wall, awake = time.process_time(), time.monotonic(), _awake()

    def look(_signal: int, _frame: FrameType | None) -> None:
        slept = (
            time.monotonic()
            - wall
            - max((seconds - awake.get(task, 0.0) for task, seconds in _awake().items()), default=0.0)
        )
        if time.process_time() - spun > spun_max or slept > SLEEP_SECONDS:
            on_hang()

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, LOOK_SECONDS, LOOK_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _awake() -> dict[str, float]:
    """For how long each thread has run or waited for a processor."""
    return {task: _awake_seconds(task) for task in (place.name for place in TASKS.iterdir())}


def _awake_seconds(task: str) -> float:
    try:
        ran, waited, _ = (TASKS / task / "schedstat").read_text().split()
    except OSError:  # it has ended
        return 0.0
    return (int(ran) + int(waited)) / 1e9
