"""What befalls the system, and when: drawn from the seed before anything begins."""

import random
from enum import StrEnum
from typing import Final

from attrs import frozen

from tests.simulation.network import Trouble
from tests.simulation.workload import BUSY_SECONDS

STALL_SECONDS: Final = (5.0, 20.0, 40.0)
"""At most; the heartbeat timeout lies between."""
WINDOW_SECONDS: Final = (2.0, 10.0, 40.0)
CHANCES: Final = (0.02, 0.1, 0.4)
ALWAYS: Final = 1.0
COMPLETE: Final = (Trouble.STORE_AWAY, Trouble.HINTS_DOWN, Trouble.SIGNS_LOST)
"""Troubles that spare nobody."""
OFTEN_COMPLETE: Final = (Trouble.HINTS_LOST, Trouble.HINTS_DOUBLED)
CLOCK_HOURS: Final = 30


class Mishap(StrEnum):
    """What befalls one process."""

    WORKER_VANISHES = "workers that vanish"
    WORKER_STALLS = "workers that stand still"
    REAPER_VANISHES = "reapers that vanish"
    REAPER_STALLS = "reapers that stand still"
    API_VANISHES = "APIs that vanish"
    CLOCK_JUMPS = "clocks of workers that jump"
    WORKER_STOPPED = "workers that are told to stop"
    WORKER_CUT_OFF = "workers whose calls arrive late"


class Order(StrEnum):
    """What operators and users ask for, beside their submissions."""

    CANCEL = "cancels"
    REQUEUE = "requeues"
    REQUEUE_DEAD = "requeues of all that is dead"
    PURGE = "purges"
    PAUSE = "pauses"
    RESUME = "resumes"
    DRAIN = "drains by request"
    CANCEL_WORKFLOW = "workflow cancels"
    RETRY_WORKFLOW = "workflow retries"
    DUPLICATE = "duplicate submissions"


@frozen(kw_only=True)
class Window:
    """A trouble of the network, for a while."""

    trouble: Trouble
    begin: float
    end: float
    chance: float


@frozen(kw_only=True)
class Event:
    at: float
    what: Mishap | Order
    seconds: float = 0.0
    whom: int = 0
    """A number to choose by."""


@frozen(kw_only=True)
class Timetable:
    windows: tuple[Window, ...]
    events: tuple[Event, ...]

    @classmethod
    def drawn(cls, chance: random.Random) -> "Timetable":
        """A few kinds of trouble at a time: with all of them at once nothing would get far enough to go wrong."""
        troubles = [one for one in Trouble if chance.random() < 0.25]
        befalls = [one for one in (*Mishap, *Order) if chance.random() < 0.3]
        return cls(
            windows=tuple(_window(chance, trouble) for trouble in troubles for _ in range(chance.randint(1, 3))),
            events=tuple(
                _event(chance, what) for what in befalls for _ in range(chance.randint(1, 6))
            ),
        )  # fmt: skip


def _window(chance: random.Random, trouble: Trouble) -> Window:
    begin = chance.random() * BUSY_SECONDS
    end = min(begin + chance.random() * chance.choice(WINDOW_SECONDS), BUSY_SECONDS)
    chances = (*CHANCES, ALWAYS, ALWAYS, ALWAYS) if trouble in OFTEN_COMPLETE else CHANCES
    strength = ALWAYS if trouble in COMPLETE else chance.choice(chances)
    return Window(trouble=trouble, begin=begin, end=end, chance=strength)


def _event(chance: random.Random, what: Mishap | Order) -> Event:
    at = chance.random() * BUSY_SECONDS
    seconds = chance.random() * chance.choice(STALL_SECONDS)
    if what is Mishap.CLOCK_JUMPS:
        seconds = (chance.random() - 0.5) * CLOCK_HOURS * 3600
    return Event(at=at, what=what, seconds=seconds, whom=chance.randrange(1_000))
