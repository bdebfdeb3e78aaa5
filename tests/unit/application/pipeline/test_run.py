"""One job in a slot."""

import asyncio
from datetime import timedelta

import pytest

from schedora.application.pipeline.run import Run, StopReason
from schedora.domain.outcome import Outcome
from tests.builders import HOUR, NOON, SECOND, a_claimed_job


def a_run(*, recorded: bool = True, timeout: timedelta = HOUR) -> Run:
    job = a_claimed_job(started_at=NOON if recorded else None, timeout=timeout)
    return Run(job, started_at=NOON, began=SECOND)


@pytest.mark.parametrize("recorded", [True, False])
def test_store_knows_of_the_start_where_it_came_with_the_claim(recorded: bool) -> None:
    assert a_run(recorded=recorded).recorded is recorded


def test_deadline_is_measured_from_the_start() -> None:
    assert a_run(timeout=3 * SECOND).deadline == 4 * SECOND


@pytest.mark.parametrize("reason", StopReason)
def test_first_reason_to_stop_stands(reason: StopReason) -> None:
    run = a_run()
    before = run.cancelled
    run.stop(reason)
    assert (before, run.cancelled) == (False, True)
    for later in StopReason:
        run.stop(later)
    assert run.stop_reason is reason


@pytest.mark.parametrize("stoppable", [True, False])
async def test_what_can_be_stopped_is_stopped(stoppable: bool) -> None:
    async def handler() -> Outcome | None:
        await asyncio.Event().wait()
        return None

    run = a_run()
    run.stoppable = stoppable
    run.task = asyncio.create_task(handler())
    await asyncio.sleep(0)
    run.stop(StopReason.DRAINED)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert run.task.cancelled() is stoppable
    run.task.cancel()
