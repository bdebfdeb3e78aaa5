"""What nobody would hear of otherwise is told: a record that is wrong for a while, a task that fails by itself, a process that breaks off."""

import asyncio
import random

import attrs

from schedora.domain.job_state import JobState
from schedora_torture.invariants import Invariant
from tests.builders import a_job
from tests.simulation.event_loop import SECOND_US, SimulatedLoop, SimulatedThread
from tests.simulation.invariants import Seen
from tests.simulation.world import World


def test_a_record_that_is_wrong_for_a_while_is_told() -> None:
    witness = World(0).witness
    running = a_job(JobState.RUNNING)
    witness.changed(running, attrs.evolve(running, lease=None))
    assert witness.broken is not None
    assert witness.broken.invariant == Invariant.LEASE_WHILE_HELD


def test_a_task_that_fails_and_that_nobody_asks_is_told() -> None:
    async def fails() -> None:
        raise KeyError("oops")

    loop = SimulatedLoop(random.Random(0))  # type: ignore[abstract] # the engine asks for no more
    asked, unasked = (loop.spawn(SimulatedThread(name), fails()) for name in ("here", "there"))
    loop.run_until(SECOND_US)
    assert isinstance(asked.exception(), KeyError)
    assert [*loop.unheard()] == [unasked.exception()]
    loop.wind_up()


def test_a_process_that_is_canceled_by_nobody_has_a_defect() -> None:
    async def breaks_off() -> None:
        raise asyncio.CancelledError

    world = World(0)
    process = world.reapers[0]
    (thread,) = process._begin(process.name)
    process._spawn(thread, breaks_off())
    world.loop.run_until(SECOND_US)
    assert world.witness.broken is not None
    assert world.witness.broken.invariant == Seen.NO_DEFECTS
    world.loop.wind_up()
