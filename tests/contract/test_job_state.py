"""Every situation × every command, on every store, held against the one table of moves."""

from collections.abc import Awaitable, Callable
from itertools import pairwise

import attrs
import pytest

from schedora.application.ports.job_queue import Start
from schedora.domain.errors import IllegalMove
from schedora.domain.job import Job
from schedora.domain.job_state import HELD, MOVES, JobState
from schedora.domain.outcome import Failed, Outcome, Released, Snoozed, Succeeded, TimedOut, WorkerLost
from schedora.domain.worker import WorkerState
from tests.builders import HOUR, a_lease_id
from tests.contract.situations import STATE_OF, Case, Situation, bring_about
from tests.contract.stores import Stores

Command = Callable[[Stores, Case], Awaitable[None]]
S = Situation

OUTCOMES: dict[str, Outcome] = {
    "succeed": Succeeded(),
    "fail": Failed(kind="Oops", message="again"),
    "fail for good": Failed(kind="Oops", message="hopeless", retryable=False),
    "time out": TimedOut(timeout=HOUR),
    "snooze": Snoozed(delay=HOUR),
    "release the lease": Released(reason="draining"),
    "lose the worker": WorkerLost(message="silence"),
}


async def claim(stores: Stores, case: Case) -> None:
    await stores.claim(case.worker, start_count=0)


async def claim_and_start(stores: Stores, case: Case) -> None:
    await stores.claim(case.worker, start_count=1)


async def start(stores: Stores, case: Case) -> None:
    at = await stores.now()
    answer = await stores.sync(
        starts=[Start(job_id=case.job.job_id, lease_id=case.claim.lease_id, started_at=at)]
    )
    assert bool(answer.accepted) is (case.job.status in HELD)


def complete(outcome: Outcome) -> Command:
    async def command(stores: Stores, case: Case) -> None:
        started_at = case.claim.started_at
        if not isinstance(outcome, Released | WorkerLost) and started_at is None:
            started_at = await stores.now()  # it started, and its completion came before word of its start
        accepted = await stores.complete(attrs.evolve(case.claim, started_at=started_at), outcome)
        assert accepted is (case.job.status in HELD)

    return command


def complete_in_unit(outcome: Outcome) -> Command:
    async def command(stores: Stores, case: Case) -> None:
        started_at = case.claim.started_at or await stores.now()
        completion = await stores.settle(attrs.evolve(case.claim, started_at=started_at), outcome)
        async with stores.units.begin() as unit:
            accepted = await unit.jobs.complete([completion])
        assert bool(accepted) is (case.job.status in HELD)

    return command


def complete_under_wrong_lease(outcome: Outcome) -> Command:
    async def command(stores: Stores, case: Case) -> None:
        started_at = case.claim.started_at or await stores.now()
        stale = attrs.evolve(case.claim, lease_id=a_lease_id(), started_at=started_at)
        assert not await stores.complete(stale, outcome)

    return command


async def start_under_wrong_lease(stores: Stores, case: Case) -> None:
    at = await stores.now()
    stale = Start(job_id=case.job.job_id, lease_id=a_lease_id(), started_at=at)
    assert not (await stores.sync(starts=[stale])).accepted


async def cancel(stores: Stores, case: Case) -> None:
    await stores.cancel(case.job.job_id)


async def requeue(stores: Stores, case: Case) -> None:
    await stores.requeue(case.job.job_id)


async def release(stores: Stores, case: Case) -> None:
    async with stores.units.begin() as unit:
        queues = await unit.jobs.release([case.upstream] if case.upstream else [])
    assert queues == ({"default"} if case.upstream else set())


async def delete(stores: Stores, case: Case) -> None:
    async with stores.units.begin() as unit:
        await unit.jobs.delete([case.job.job_id])


async def look_for_lost(stores: Stores, case: Case) -> None:
    assert await stores.workers.lost_jobs(10) == []
    await stores.workers.set_status([case.worker.incarnation], WorkerState.STALE)
    lost = [lost.lease_id for lost in await stores.workers.lost_jobs(10)]
    assert lost == ([case.claim.lease_id] if case.job.status in HELD else [])


COMMANDS: dict[str, Command] = {
    "claim": claim,
    "claim and start": claim_and_start,
    "start": start,
    "start under a wrong lease": start_under_wrong_lease,
    "cancel": cancel,
    "requeue": requeue,
    "release": release,
    "delete": delete,
    "look for lost": look_for_lost,
    **{name: complete(outcome) for name, outcome in OUTCOMES.items()},
    **{f"{name} in a unit": complete_in_unit(outcome) for name, outcome in OUTCOMES.items()},
    **{f"{name} under a wrong lease": complete_under_wrong_lease(o) for name, o in OUTCOMES.items()},
}

ENDS: dict[str, JobState] = {
    "succeed": JobState.SUCCESS,
    "fail": JobState.RETRYING,
    "fail for good": JobState.DEAD,
    "time out": JobState.RETRYING,
    "snooze": JobState.PENDING,
    "release the lease": JobState.PENDING,
    "lose the worker": JobState.RETRYING,
}

CHANGES: dict[tuple[str, Situation], JobState] = {
    ("claim", S.READY): JobState.SCHEDULED,
    ("claim", S.RETRYING): JobState.SCHEDULED,
    ("claim and start", S.READY): JobState.RUNNING,
    ("claim and start", S.RETRYING): JobState.RUNNING,
    ("start", S.SCHEDULED): JobState.RUNNING,
    ("release", S.WAITING): JobState.PENDING,
    ("requeue", S.DEAD): JobState.PENDING,
    ("requeue", S.CANCELED): JobState.PENDING,
    **{
        ("cancel", situation): JobState.CANCELED
        for situation in set(Situation) - {S.SUCCESS, S.DEAD, S.CANCELED}
    },
    **{(name, held): end for name, end in ENDS.items() for held in (S.SCHEDULED, S.RUNNING)},
    **{(f"{name} in a unit", held): end for name, end in ENDS.items() for held in (S.SCHEDULED, S.RUNNING)},
    # Not on record as started, and its worker can't tell: no attempt is used up.
    ("lose the worker", S.SCHEDULED): JobState.PENDING,
}
"""The state after the command. What is not here leaves the whole record as it was."""

DELETABLE = {S.SUCCESS, S.DEAD, S.CANCELED}
REFUSED = {("cancel", situation) for situation in DELETABLE} | {
    ("requeue", situation) for situation in set(Situation) - {S.DEAD, S.CANCELED}
}
"""The domain says no before anything is written."""


@pytest.mark.parametrize("situation", Situation)
@pytest.mark.parametrize("name", COMMANDS)
async def test_command_in_situation(stores: Stores, name: str, situation: Situation) -> None:
    case = await bring_about(stores, situation)
    if (name, situation) in REFUSED:
        with pytest.raises(IllegalMove):
            await COMMANDS[name](stores, case)
    else:
        await COMMANDS[name](stores, case)
    if name == "delete" and situation in DELETABLE:
        assert await stores.job_reader.status_summaries([case.job.job_id]) == {}
        return
    after = await stores.job(case.job.job_id)
    if (name, situation) in CHANGES:
        assert after.status is CHANGES[name, situation]
        assert after != case.job
    else:
        assert after == case.job
    assert_legal(after)
    await assert_in_its_place(stores, after)


def assert_legal(job: Job) -> None:
    """Its history is one unbroken walk through the table of moves."""
    events = job.events()
    assert events[0].from_state is None
    assert events[0].to_state is JobState.PENDING
    for before, after in pairwise(events):
        assert after.from_state is before.to_state
        assert (after.from_state, after.to_state) in MOVES
        assert before.at <= after.at
    assert events[-1].to_state is job.status


async def assert_in_its_place(stores: Stores, job: Job) -> None:
    """Held jobs are with their owner and nowhere else; what is claimable and due can be claimed, no more."""
    if job.lease is not None:
        assert await stores.job_queue.held(job.lease.owner) == {job.lease.lease_id}
    due = job.claimable and job.scheduled_at <= await stores.now()
    claims = await stores.claim(await stores.worker())
    assert [claim.job_id for claim in claims] == ([job.job_id] if due else [])


def test_every_state_is_a_situation() -> None:
    assert set(STATE_OF.values()) == set(JobState) - {JobState.FAILED}
    assert set(STATE_OF) == set(Situation)


def test_every_move_is_walked() -> None:
    walked = {(STATE_OF[situation], end) for (_, situation), end in CHANGES.items()}
    passing = {
        (JobState.RUNNING, JobState.FAILED),
        (JobState.FAILED, JobState.RETRYING),
        (JobState.FAILED, JobState.DEAD),
    }
    assert set(MOVES) - passing <= walked
