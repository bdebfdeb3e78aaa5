"""When which fault strikes whom: decided by the seed alone, before anything starts."""

from collections.abc import Iterator, Sequence
from random import Random

from schedora_torture.faults import (
    ON_LINKS,
    ON_OWN_POSTGRES,
    ON_OWN_REDIS,
    ON_REDIS,
    ON_WORKERS,
    Fault,
    FaultKind,
)
from schedora_torture.plan import HEARTBEAT_TIMEOUT, Plan

WARM_UP_SECONDS = 3.0
"""Undisturbed, so that there is something to compare with."""
STORM_SECONDS = 16.0
QUIET_SECONDS = 8.0
"""After each storm, to see it recover."""

_HOLD = {
    FaultKind.KILL_WORKER: (0.5, 4.0),
    FaultKind.FREEZE_WORKER: (HEARTBEAT_TIMEOUT.total_seconds() + 1.5, HEARTBEAT_TIMEOUT.total_seconds() + 5),
    FaultKind.BLOCK_LOOP: (HEARTBEAT_TIMEOUT.total_seconds() + 1.0, HEARTBEAT_TIMEOUT.total_seconds() + 3),
    FaultKind.DRAIN_WORKER: (0.5, 3.0),
    FaultKind.KILL_API: (0.5, 3.0),
    FaultKind.KILL_REAPER: (1.0, 5.0),
    FaultKind.RESTART_POSTGRES: (0.5, 4.0),
    FaultKind.CRASH_POSTGRES: (0.5, 4.0),
    FaultKind.TERMINATE_BACKENDS: (0.0, 0.0),
    FaultKind.EXHAUST_POOLS: (2.0, 6.0),
    FaultKind.EXHAUST_SERVER: (2.0, 6.0),
    # Long enough, too, for what was held back to come when its job runs elsewhere.
    FaultKind.SWALLOW_COMMANDS: (1.0, HEARTBEAT_TIMEOUT.total_seconds() + 5),
    FaultKind.EMPTY_REDIS: (0.0, 0.0),
}
"""How long each lasts, at least and at most, in seconds."""
_HOLD_OF_THE_OTHERS = (1.0, 6.0)


def kinds_for(plan: Plan) -> tuple[FaultKind, ...]:
    """The kinds that strike: only what the torture has started itself is stopped, emptied or filled up."""
    left_out: set[FaultKind] = set()
    if not plan.owns_database:
        left_out |= ON_OWN_POSTGRES
    if not plan.has_redis:
        left_out |= ON_REDIS
    elif not plan.own_redis:
        left_out |= ON_OWN_REDIS
    return tuple(kind for kind in FaultKind if kind not in left_out)


def timetable(plan: Plan) -> tuple[Fault, ...]:
    """In the order in which they begin; all have ended by the end of the plan's duration. Each kind comes before any comes
    again. One worker at least is always left alone by what stops workers.
    """
    random = Random(plan.seed)  # noqa: S311 - to be repeated, not to be secret
    deck = _deck(random, kinds_for(plan))
    end = plan.duration.total_seconds()
    made: list[Fault] = []
    storm = WARM_UP_SECONDS
    while storm < end - 1:
        at = storm + random.uniform(0, 1)
        storm_end = min(storm + STORM_SECONDS, end - 1)
        while at < storm_end:
            fault = _fault(random, next(deck), at, plan)
            if fault.ends_seconds <= end and _leaves_a_worker(plan, made, fault):
                made.append(fault)
            at += random.uniform(1.0, 4.0)
        storm += STORM_SECONDS + QUIET_SECONDS
    return tuple(made)


def _deck(random: Random, kinds: Sequence[FaultKind]) -> Iterator[FaultKind]:
    while True:
        yield from random.sample(kinds, len(kinds))


def _fault(random: Random, kind: FaultKind, at: float, plan: Plan) -> Fault:
    hold = random.uniform(*_HOLD.get(kind, _HOLD_OF_THE_OTHERS))
    targets = {FaultKind.KILL_API: plan.apis, FaultKind.KILL_REAPER: plan.reapers}
    if kind in ON_WORKERS:
        target = random.randrange(plan.workers)
    elif kind in ON_LINKS:
        target = random.randrange(plan.workers + plan.apis + plan.reapers)
    else:
        target = random.randrange(targets.get(kind, 1))
    return Fault(
        at_seconds=round(at, 3),
        kind=kind,
        hold_seconds=round(hold, 3),
        target=target,
        late=random.random() < 0.5,
    )


def _leaves_a_worker(plan: Plan, made: Sequence[Fault], fault: Fault) -> bool:
    """With one worker alone it may be stopped, but not twice at once."""
    if fault.kind not in ON_WORKERS:
        return True
    stopped = {
        other.target
        for other in made
        if other.kind in ON_WORKERS and other.ends_seconds + 1 >= fault.at_seconds
    }
    return fault.target not in stopped and len(stopped) < max(1, plan.workers - 1)
