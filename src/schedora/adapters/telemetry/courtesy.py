"""How long a thread that works beside others pauses, so that it takes little but what they leave."""

import time
from typing import NamedTuple

SHARE = 0.02
"""Of the time of others that want all of it."""
OF_SPARE_TIME = 0.5


class Moment(NamedTuple):
    """By the clock, and by what the thread and the others of its process have had of the processor. All in seconds."""

    clock: float
    own: float
    others: float

    @classmethod
    def now(cls) -> "Moment":
        own = time.thread_time()
        return cls(time.monotonic(), own, time.process_time() - own)


def pause_seconds(*, rested: Moment, began: Moment, worked: Moment, ended: Moment) -> float:
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
    share = max(SHARE, OF_SPARE_TIME * (1 - wanted))
    return (ended.own - began.own) * (1 / share - 1)
