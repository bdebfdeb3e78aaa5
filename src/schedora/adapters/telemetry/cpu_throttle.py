"""How long a thread that works beside others pauses, so that it takes little but what they leave."""

import time
from typing import NamedTuple

import psutil

SHARE = 0.02
"""Of the time of others that want all of it."""
OF_SPARE_TIME = 0.5
LOOK_SECONDS = 0.25
"""From one look at the machine to the next: it counts in hundredths of a second."""


class Moment(NamedTuple):
    """By the clock, and by what the thread and the others of its process have had of the processor. All in seconds."""

    clock: float
    own: float
    others: float

    @classmethod
    def now(cls) -> "Moment":
        own = time.thread_time()
        return cls(time.monotonic(), own, time.process_time() - own)


class Machine:
    """Whether its processors have time to spare, whatever the process wants: where they have none, to work is to take it
    from the database, or from whoever asks, and those of the process wait for these.
    """

    def __init__(self) -> None:
        self._spare = 1.0
        self._at, self._idle = time.monotonic(), _idle_seconds()

    def spare(self) -> float:
        """How many of them were idle lately: one at most, for a thread has no use for more."""
        now = time.monotonic()
        if self._idle is not None and now - self._at >= LOOK_SECONDS:
            idle = _idle_seconds() or 0.0
            self._spare = min(1.0, max(0.0, idle - self._idle) / (now - self._at))
            self._at, self._idle = now, idle
        return self._spare


def _idle_seconds() -> float | None:
    """Of all processors since the machine's start; None where it does not tell."""
    told = psutil.cpu_times()
    return told.idle + getattr(told, "iowait", 0.0) if any(told) else None


def pause_seconds(
    *, rested: Moment, began: Moment, worked: Moment, ended: Moment, machine_spare: float
) -> float:
    """After work that ``began`` and ``ended``, and kept the interpreter busy until it was ``worked``; before it, the
    thread had ``rested`` since then.

    What the others want shows in what they had while the thread rested, and in what they took from it while it
    worked: they get less than they want then.
    """
    wanted = 0.0
    if began.clock > rested.clock:
        wanted = (began.others - rested.others) / (began.clock - rested.clock)
    if worked.own > began.own:
        wanted = max(wanted, 2 * (worked.others - began.others) / (worked.own - began.own))
    share = max(SHARE, OF_SPARE_TIME * min(1 - wanted, machine_spare))
    return (ended.own - began.own) * (1 / share - 1)
