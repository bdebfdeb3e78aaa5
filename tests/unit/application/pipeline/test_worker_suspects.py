"""Jobs under which a worker died: their start is on record before they run, and they hold up nobody else."""

import attrs
import pytest

from schedora.adapters.memory.faults import AFTER_COMMIT, BEFORE_COMMIT
from schedora.application.context import JobContext
from schedora.application.pipeline.execute import DRAINED
from schedora.application.ports.job_queue import Start
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora.domain.outcome import WorkerLost
from schedora.domain.retry import RetryPolicy
from schedora_torture.invariants import of_change
from tests.builders import SECOND, a_request
from tests.unit.application.bench import Bench
from tests.unit.application.pipeline.engine import Engine, Held

S = JobState
AT_ONCE = RetryPolicy(max_retries=10, base=0 * SECOND)
LONG_ENOUGH = 10 * SECOND


async def suspects(bench: Bench, count: int, *, deaths: int) -> list[Job]:
    """Jobs that have run in so many workers that died."""
    jobs = await bench.stores.submit(*(a_request(retry=AT_ONCE, timeout=1000 * SECOND) for _ in range(count)))
    for _ in range(deaths):
        for claim in await bench.claim():
            at = claim.claimed_at
            start = Start(job_id=claim.job_id, lease_id=claim.lease_id, started_at=at)
            await bench.stores.sync(starts=[start])
            run = attrs.evolve(claim, started_at=at)
            assert await bench.stores.complete(run, WorkerLost(message="silence"))
    found = [await bench.stores.job(job.job_id) for job in jobs]
    assert all(job.suspect and job.worker_deaths == deaths for job in found)
    return found


async def states(bench: Bench, jobs: list[Job]) -> list[JobState]:
    return [(await bench.stores.job(job.job_id)).status for job in jobs]


async def test_start_is_on_record_when_the_handler_begins(engine: Engine) -> None:
    seen: list[JobState] = []

    async def look(context: JobContext) -> None:
        seen.append((await engine.bench.stores.job(context.job_id)).status)

    engine.handle(look)
    jobs = await suspects(engine.bench, 2, deaths=1)
    async with engine.running():
        assert seen == [S.RUNNING, S.RUNNING]
        assert await states(engine.bench, jobs) == [S.SUCCESS, S.SUCCESS]


@pytest.mark.parametrize("point", [BEFORE_COMMIT, AFTER_COMMIT])
async def test_start_whose_answer_is_lost_is_told_again(engine: Engine, point: str) -> None:
    held = Held()
    engine.handle(held)
    [job] = await suspects(engine.bench, 1, deaths=1)
    engine.bench.faults.fail(point, nth=3)  # the worker's registration, the claim, the start
    async with engine.running():
        assert held.contexts == []
        unheard = await engine.bench.stores.job(job.job_id)
        await engine.advance(LONG_ENOUGH)
        assert len(held.contexts) == 1
        held.let_go()
        await engine.settle()
        done = await engine.bench.stores.job(job.job_id)
    assert (done.status, done.attempt) == (S.SUCCESS, 2)
    if point is AFTER_COMMIT:
        assert unheard.events() == done.events()[: len(unheard.events())], "what was seen stays so"


async def test_suspect_whose_start_may_be_on_record_goes_back_with_it(engine: Engine) -> None:
    engine.handle(Held())
    [job] = await suspects(engine.bench, 1, deaths=1)
    engine.bench.faults.fail(AFTER_COMMIT, nth=3)  # the worker's registration, the claim, the start
    async with engine.running() as worker:
        started = await engine.bench.stores.job(job.job_id)
        worker.drain()
        await engine.advance(LONG_ENOUGH)
        back = await engine.bench.stores.job(job.job_id)
    assert (started.status, back.status, back.attempt) == (S.RUNNING, S.PENDING, 1)
    assert of_change(started, back) == [], "its history tells of the start"


async def test_suspect_canceled_while_its_start_is_told_does_not_run(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    [job] = await suspects(engine.bench, 1, deaths=1)
    engine.bench.faults.fail(BEFORE_COMMIT, nth=3)
    async with engine.running() as worker:
        await engine.bench.stores.cancel(job.job_id)
        await engine.advance(LONG_ENOUGH)
        assert held.contexts == []
        assert worker.stages.pool.free == engine.slots
    assert await states(engine.bench, [job]) == [S.CANCELED]


async def test_suspects_that_wait_are_released_by_a_worker_that_drains(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    jobs = await suspects(engine.bench, 2, deaths=2)
    async with engine.running() as worker:
        assert await states(engine.bench, jobs) == [S.RUNNING, S.SCHEDULED]
        worker.drain()
        await engine.settle()
        back = await engine.bench.stores.job(jobs[1].job_id)
        assert (back.status, back.history[-1].reason, back.suspect) == (S.PENDING, DRAINED, True)


async def test_on_their_last_chance_they_run_one_after_the_other(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    engine.slots = 5
    jobs = await suspects(engine.bench, 3, deaths=2)
    async with engine.running():
        await engine.advance(LONG_ENOUGH)
        assert len(held.contexts) == 1
        held.let_go()
        await engine.advance(LONG_ENOUGH)
        assert await states(engine.bench, jobs) == [S.SUCCESS] * 3


async def test_suspect_that_waits_for_another_does_not_keep_free_slots_from_others(engine: Engine) -> None:
    held = Held()
    done: list[JobContext] = []

    async def other(context: JobContext) -> None:
        done.append(context)

    engine.handle(held)
    engine.handle(other, job_type="other")
    engine.slots = 5
    await suspects(engine.bench, 2, deaths=2)
    async with engine.running():
        assert len(held.contexts) == 1
        for number in range(1, 4):
            await engine.bench.submit([a_request(type="other")])
            await engine.settle()
            assert len(done) == number


async def test_suspects_are_not_hoarded(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    engine.slots = 3
    jobs = await suspects(engine.bench, 10, deaths=2)
    async with engine.running() as worker:
        assert (await states(engine.bench, jobs)).count(S.SCHEDULED) < 2 * engine.slots
        assert worker.stages.pool.buffered >= engine.slots
        await engine.advance(LONG_ENOUGH)
        assert len(held.contexts) == 1
