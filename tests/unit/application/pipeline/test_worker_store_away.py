"""The worker while the store fails, refuses, or answers into the void: nothing is lost, nothing happens twice."""

import asyncio
import itertools
from collections.abc import Sequence
from functools import partial

import pytest
from structlog.testing import capture_logs

from schedora.adapters.memory.faults import AFTER_COMMIT, BEFORE_COMMIT, BEGIN
from schedora.adapters.memory.job_queue import MemoryJobQueue
from schedora.application.context import JobContext
from schedora.application.directives import Discard
from schedora.application.errors import LockConflict, StoreUnavailable
from schedora.application.pipeline import outcomes
from schedora.application.pipeline.completion_buffer import STORAGE_REFUSED
from schedora.application.pipeline.departure import FAREWELL
from schedora.application.pipeline.execute import UPSTREAM_NOT_READ
from schedora.application.pipeline.runs import GRACE
from schedora.application.pipeline.worker import RESULTS_NOT_TAKEN, Worker
from schedora.application.ports.job_queue import ClaimRequest, SyncAnswer, SyncBatch
from schedora.application.ports.metrics import Counter
from schedora.application.ports.wakeup import Hint
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.ids import JobId
from schedora.domain.job_state import JobState
from schedora.domain.worker import WorkerState
from tests.builders import HOUR, SECOND, a_request
from tests.unit.application.fussy import Refusal, fussy
from tests.unit.application.pipeline.engine import Engine, Held

S = JobState
LONG_ENOUGH = 10 * SECOND
"""For the longest pause between two tries."""


class Counted:
    """A handler that counts its runs by job."""

    def __init__(self) -> None:
        self.runs: dict[JobId, int] = {}

    async def __call__(self, context: JobContext) -> str:
        self.runs[context.job_id] = self.runs.get(context.job_id, 0) + 1
        return "done"


async def test_worker_that_finds_no_store_waits_for_it(engine: Engine) -> None:
    engine.handle(Counted())
    engine.bench.faults.away = True
    async with engine.running():
        await engine.advance(60 * SECOND)
        assert engine.heartbeat.incarnations == []
        engine.bench.faults.away = False
        await engine.advance(LONG_ENOUGH)
        assert len(engine.heartbeat.incarnations) == 1


async def test_store_that_is_away_is_left_alone_whatever_is_hinted(engine: Engine) -> None:
    engine.handle(Counted())
    async with engine.running() as worker:
        engine.bench.faults.away = True
        worker.stages.hints.on_hint(Hint(queues=frozenset({"default"})))
        await engine.settle()
        worker.stages.hints.on_hint(Hint(queues=frozenset({"default"})))
        assert not worker.stages.store_sync.under_way


async def test_pauses_between_tries_grow(engine: Engine) -> None:
    engine.handle(Counted())
    engine.bench.faults.away = True
    tries: list[float] = []
    passed = engine.bench.faults.pass_by

    def noting(point: str) -> None:
        tries.append(engine.bench.clock.monotonic().total_seconds())
        passed(point)

    engine.bench.faults.pass_by = noting  # type: ignore[method-assign]  # watches, and does as before
    async with engine.running():
        await engine.advance(60 * SECOND)
        assert len(tries) < 30
        await engine.advance(HOUR)
    pauses = [after - before for before, after in itertools.pairwise(tries)]
    assert pauses[0] <= 0.1
    assert 4.9 < max(pauses) <= 5
    assert min(pauses[-500:]) >= 2.5


async def test_result_is_kept_until_the_store_is_back(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running():
        engine.bench.faults.away = True
        held.let_go()
        await engine.advance(HOUR)
        engine.bench.faults.away = False
        assert (await engine.bench.stores.job(job.job_id)).status is S.RUNNING
        await engine.advance(LONG_ENOUGH)
        done = await engine.bench.stores.job(job.job_id)
    assert (done.status, done.result) == (S.SUCCESS, '"let go"')
    assert len(held.contexts) == 1
    assert done.started_at is not None
    assert done.completed_at == done.started_at, "when it ended, not when the store learned of it"


@pytest.mark.parametrize("point", [BEFORE_COMMIT, AFTER_COMMIT, "job_queue.sync"])
async def test_completion_whose_answer_is_lost_counts_once(engine: Engine, point: str) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running():
        engine.bench.faults.fail(point)
        held.let_go()
        await engine.advance(LONG_ENOUGH)
        done = await engine.bench.stores.job(job.job_id)
    assert (done.status, done.attempt) == (S.SUCCESS, 1)
    assert len(held.contexts) == 1
    counted = engine.bench.metrics.counted
    known_lost = point == AFTER_COMMIT  # its lease is gone when it is handed in again
    assert counted[Counter.JOBS_FENCED, ""] == (1 if known_lost else 0)
    assert counted[Counter.JOBS_SUCCEEDED, "work"] == (0 if known_lost else 1)


@pytest.mark.parametrize("point", [BEFORE_COMMIT, AFTER_COMMIT])
@pytest.mark.parametrize("in_workflow", [False, True])
async def test_jobs_claimed_with_an_answer_that_was_lost_are_found_again(
    engine: Engine, point: str, in_workflow: bool
) -> None:
    handler = Counted()
    engine.handle(handler)
    engine.slots = 3
    async with engine.running():
        if in_workflow:
            jobs = list((await engine.bench.flow(a="", b="", c="")).values())
        else:
            jobs = [submission.job for submission in await engine.bench.submit([a_request()] * 3)]
        engine.bench.faults.fail(point)
        await engine.settle()
        assert handler.runs == {}
        await engine.advance(LONG_ENOUGH)
        assert handler.runs == {job.job_id: 1 for job in jobs}
        for job in jobs:
            done = await engine.bench.stores.job(job.job_id)
            assert (done.status, done.lease_token, done.attempt) == (S.SUCCESS, 1, 1)


async def test_jobs_found_again_while_draining_are_released(engine: Engine) -> None:
    handler = Counted()
    engine.handle(handler)
    async with engine.running() as worker:
        [submission] = await engine.bench.submit([a_request()])
        engine.bench.faults.fail(AFTER_COMMIT)
        await engine.settle()
        worker.heard(engine.heartbeat.incarnations[0], WorkerState.DRAINING)
        await engine.advance(LONG_ENOUGH)
        job = await engine.bench.stores.job(submission.job.job_id)
    assert (job.status, job.attempt) == (S.PENDING, 0)
    assert handler.runs == {}


@pytest.mark.parametrize("point", [BEFORE_COMMIT, AFTER_COMMIT])
async def test_completion_in_a_workflow_whose_answer_is_lost_counts_once(engine: Engine, point: str) -> None:
    held = Held()
    engine.handle(held)
    async with engine.running():
        flow = await engine.bench.flow(a="", b="a")
        await engine.settle()
        engine.bench.faults.fail(point)
        held.let_go()
        await engine.advance(LONG_ENOUGH)
        assert await engine.bench.states(flow) == {"a": S.SUCCESS, "b": S.SUCCESS}
        assert (await engine.bench.workflow_of(flow)).counts.succeeded == 2
    assert [context.job.key for context in held.contexts] == ["a", "b"]


async def test_what_of_a_workflow_was_accepted_before_the_store_failed_is_not_told_again(
    engine: Engine,
) -> None:
    well, badly = Held(), Held()

    async def fail(context: JobContext) -> str:
        raise Discard(await badly(context))

    engine.handle(well)
    engine.handle(fail, job_type="fail")
    workflow_id = await engine.bench.stores.workflow()
    requests = [a_request(type=job_type, workflow_id=workflow_id) for job_type in ("work", "fail")]
    jobs = [submission.job for submission in await engine.bench.submit(requests)]
    async with engine.running():
        engine.bench.faults.fail(BEGIN, nth=2)
        for held in (well, badly):
            held.let_go()
        await engine.advance(LONG_ENOUGH)
    assert [(await engine.bench.stores.job(job.job_id)).status for job in jobs] == [S.SUCCESS, S.DEAD]
    counted = engine.bench.metrics.counted
    assert [counted[counter, "work"] for counter in (Counter.JOBS_SUCCEEDED, Counter.JOBS_DEAD)] == [1, 0]
    assert [counted[counter, "fail"] for counter in (Counter.JOBS_SUCCEEDED, Counter.JOBS_DEAD)] == [0, 1]
    assert not counted[Counter.JOBS_FENCED, ""]


@pytest.mark.parametrize("point", [BEFORE_COMMIT, AFTER_COMMIT])
async def test_registration_whose_answer_is_lost_is_made_again(engine: Engine, point: str) -> None:
    handler = Counted()
    engine.handle(handler)
    job = await engine.bench.stores.submit_one()
    engine.bench.faults.fail(point)
    async with engine.running():
        await engine.advance(LONG_ENOUGH)
        assert (await engine.bench.stores.job(job.job_id)).status is S.SUCCESS
        assert len(engine.heartbeat.incarnations) == 1
        assert len(await engine.incarnations()) == (2 if point == AFTER_COMMIT else 1)


async def test_good_bye_that_is_not_heard_is_left_to_the_reaper(engine: Engine) -> None:
    async with engine.running() as worker:
        engine.bench.faults.fail("workers.set_status")
        worker.drain()
        await engine.settle()
        assert engine.task is not None
        await engine.task
    [seen] = await engine.incarnations()
    assert seen.status is WorkerState.ACTIVE


async def test_worker_that_never_registered_has_nobody_to_say_good_bye_for(engine: Engine) -> None:
    engine.bench.faults.away = True
    async with engine.running() as worker:
        worker.drain()
        await engine.settle()
        assert engine.task is not None
        await engine.task
    engine.bench.faults.away = False
    assert await engine.incarnations() == []


async def test_results_of_what_it_depends_on_that_can_not_be_read_send_the_job_back(engine: Engine) -> None:
    handler = Counted()
    engine.handle(handler)
    engine.bench.faults.fail("job_reader.upstream_results")
    async with engine.running():
        flow = await engine.bench.flow(a="", b="a")
        await engine.settle()
        job = await engine.bench.stores.job(flow["b"].job_id)
    assert (job.status, job.attempt, job.lease_token) == (S.SUCCESS, 1, 2)
    assert UPSTREAM_NOT_READ in [event.reason for event in job.history]


def refuse(completions: Sequence[Completion], *, also_failures: bool = False) -> None:
    """Raises for a batch with a result that the store can't keep."""
    for completion in completions:
        refused_result = completion.result is not None and "bad" in completion.result
        refused_failure = also_failures and completion.error is not None
        if refused_result or refused_failure:
            raise Refusal("a secret of the store")


class Batch:
    """Handlers that end together, with a result that may be bad."""

    def __init__(self, engine: Engine, *bad: str) -> None:
        self.held = Held()
        self._bad = bad
        engine.slots = 3
        engine.handle(self)

    async def __call__(self, context: JobContext) -> str:
        await self.held(context)
        return "bad" if context.job.queue in self._bad else "good"


async def test_one_completion_that_the_store_refuses_does_not_harm_its_neighbours(engine: Engine) -> None:
    engine.queue, _ = fussy(engine.bench, refuse)
    batch = Batch(engine, "b")
    jobs = await engine.bench.stores.submit(*(a_request(queue=queue) for queue in "abc"))
    async with engine.running():
        batch.held.let_go()
        await engine.settle()
        after = [await engine.bench.stores.job(job.job_id) for job in jobs]
        [more] = await engine.bench.submit([a_request(queue="a")])
        await engine.settle()
        assert (await engine.bench.stores.job(more.job.job_id)).status is S.SUCCESS, "the worker goes on"
    assert [job.status for job in after] == [S.SUCCESS, S.DEAD, S.SUCCESS]
    [error] = after[1].errors
    assert (error.kind, error.message) == (STORAGE_REFUSED, "Refusal")
    assert engine.bench.metrics.counted[Counter.JOBS_SUCCEEDED, "work"] == 3


async def test_refused_completion_of_a_workflow_cancels_what_waits_for_it(engine: Engine) -> None:
    _, engine.complete = fussy(engine.bench, refuse)
    batch = Batch(engine, "queue-b")
    flow = await engine.bench.flow(a="", b="", c="a", d="b")
    async with engine.running():
        batch.held.let_go()
        await engine.settle()
    assert await engine.bench.states(flow) == {
        "a": S.SUCCESS,
        "b": S.DEAD,
        "c": S.SUCCESS,
        "d": S.CANCELED,
    }


@pytest.mark.parametrize("in_workflow", [False, True])
async def test_store_that_goes_away_between_single_deliveries_gets_the_rest_later(
    engine: Engine, in_workflow: bool
) -> None:
    engine.queue, engine.complete = fussy(engine.bench, refuse)
    batch = Batch(engine, "queue-c")
    if in_workflow:
        jobs = list((await engine.bench.flow(a="", b="", c="")).values())
    else:
        jobs = await engine.bench.stores.submit(*(a_request(queue=f"queue-{letter}") for letter in "abc"))
    async with engine.running():
        engine.bench.faults.fail(BEFORE_COMMIT, nth=2)
        batch.held.let_go()
        await engine.advance(LONG_ENOUGH)
        after = [(await engine.bench.stores.job(job.job_id)).status for job in jobs]
    assert after == [S.SUCCESS, S.SUCCESS, S.DEAD]


async def test_store_that_refuses_even_the_failure_ends_the_worker_loudly(engine: Engine) -> None:
    engine.queue, _ = fussy(engine.bench, partial(refuse, also_failures=True))
    batch = Batch(engine, "b")
    job = await engine.bench.stores.submit_one(a_request(queue="b"))
    async with engine.running():
        batch.held.let_go()
        await engine.settle()
        assert engine.task is not None
        with pytest.raises(Refusal):
            await engine.task
    assert (await engine.bench.stores.job(job.job_id)).status is S.RUNNING, "it is left to the reaper"


async def test_defect_of_the_store_without_completions_ends_the_worker_and_its_handlers(
    engine: Engine,
) -> None:
    class Broken(MemoryJobQueue):
        broken = False

        async def sync(self, batch: SyncBatch) -> SyncAnswer:
            if self.broken:
                raise Refusal("a defect")
            return await super().sync(batch)

    engine.queue = queue = Broken(engine.bench.store)
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running():
        queue.broken = True
        await engine.advance(LONG_ENOUGH)
        assert engine.task is not None
        with pytest.raises(Refusal):
            await engine.task
        assert held.stopped == [job.job_id]


async def test_store_that_hangs_keeps_no_handler_past_its_time(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one(a_request(timeout=10 * SECOND))
    async with engine.running():
        engine.bench.faults.frozen = asyncio.Event()
        await engine.advance(10 * SECOND)
        assert held.stopped == [job.job_id]
        thaw(engine)
        await engine.advance(LONG_ENOUGH)
        late = await engine.bench.stores.job(job.job_id)
    assert (late.status, late.errors[-1].kind) == (S.RETRYING, "timeout")


async def test_store_that_hangs_for_ever_keeps_no_worker_that_drains(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    with capture_logs() as logs:
        async with engine.running() as worker:
            engine.bench.faults.frozen = asyncio.Event()
            await engine.advance(3 * SECOND)
            held.let_go()
            worker.drain()
            await engine.advance(engine.limits.shutdown_timeout + 2 * GRACE + FAREWELL)
            assert engine.task is not None
            assert engine.task.done()
            thaw(engine)
    [said] = [entry for entry in logs if entry["event"].startswith("outcomes were not written")]
    assert (said["jobs"], said["job_ids"]) == (1, [str(job.job_id)])
    assert (await engine.bench.stores.job(job.job_id)).status is S.RUNNING, "until a reaper finds it"


async def test_store_that_hangs_is_not_asked_again_and_again(engine: Engine) -> None:
    engine.handle(Held())
    await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        engine.bench.faults.frozen = asyncio.Event()
        await engine.advance(HOUR)
        assert engine.bench.clock.sleepers <= 2
        thaw(engine)
        await engine.advance(LONG_ENOUGH)
        assert worker.stages.claimer.may_claim


async def test_worker_holds_only_so_many_results(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "FULL_CHARACTERS", 10)
    handler = Counted()
    held = Held()
    engine.handle(handler)
    engine.handle(held, job_type="held")
    engine.slots = 1
    async with engine.running() as worker:
        [first] = await engine.bench.submit([a_request(type="held")])
        await engine.settle()
        more = [a_request() for _ in range(5)]
        claimed = [submission.job for submission in await engine.bench.submit(more)]
        now = engine.bench.clock.monotonic()
        worker.stages.pool.take(await claimed_by(engine, worker))
        assert worker.stages.pool.buffered == 5
        engine.bench.faults.away = True
        held.let_go()
        await engine.settle()
        assert engine.bench.clock.monotonic() == now
        assert (worker.stages.pool.buffered, len(handler.runs)) == (0, 1), "the others are to go back"
        engine.bench.faults.away = False
        await engine.advance(LONG_ENOUGH)
        done = [await engine.bench.stores.job(job.job_id) for job in (first.job, *claimed)]
    assert [job.status for job in done] == [S.SUCCESS] * 6
    went_back = [event.reason for job in done for event in job.history if event.to_state is S.PENDING]
    assert set(went_back) == {RESULTS_NOT_TAKEN}
    assert all(count == 1 for count in handler.runs.values())


async def test_sign_of_life_that_was_taken_ends_the_wait(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        engine.bench.faults.away = True
        held.let_go()
        await engine.advance(HOUR)
        engine.bench.faults.away = False
        assert (await engine.bench.stores.job(job.job_id)).status is S.RUNNING
        worker.heard(engine.heartbeat.incarnations[0], WorkerState.ACTIVE)
        await engine.settle()
        assert (await engine.bench.stores.job(job.job_id)).status is S.SUCCESS, "at the same moment"


async def test_answer_to_what_was_asked_before_the_loss_tells_of_no_return(engine: Engine) -> None:
    engine.handle(Counted())
    with capture_logs() as logs:
        async with engine.running() as worker:
            asked_at = engine.bench.clock.monotonic()
            await engine.advance(SECOND)
            worker.stages.contact.failed(StoreUnavailable("gone"))
            worker.stages.contact.answered(asked_at)
            worker.stages.contact.failed(StoreUnavailable("gone"))
            worker.stages.contact.failed(LockConflict("a deadlock"))
            await engine.advance(LONG_ENOUGH)
            worker.stages.contact.failed(LockConflict("a deadlock"))
    told = [entry["event"] for entry in logs if entry["event"].startswith("the store is")]
    assert told == ["the store is away; outcomes are kept", "the store is back"]


async def test_transactions_in_the_way_are_no_reason_to_keep_away(engine: Engine) -> None:
    class InTheWay(MemoryJobQueue):
        times = 0

        async def sync(self, batch: SyncBatch) -> SyncAnswer:
            if self.times:
                self.times -= 1
                raise LockConflict("a deadlock")
            return await super().sync(batch)

    engine.queue = queue = InTheWay(engine.bench.store)
    handler = Counted()
    engine.handle(handler)
    async with engine.running():
        for _ in range(10):
            queue.times = 1
            [submission] = await engine.bench.submit([a_request()])
            await engine.advance(SECOND)
            assert handler.runs.get(submission.job.job_id) == 1, (
                "pauses grow only while nothing comes through"
            )


async def claimed_by(engine: Engine, worker: Worker) -> list[ClaimedJob]:
    """All that can be claimed, under that worker's lease."""
    assert worker.incarnation is not None
    claim = ClaimRequest(
        owner=worker.incarnation,
        worker_id=worker.stages.registration.identity.worker_id,
        queues=(),
        types=("work",),
        limit=10,
        start_count=0,
    )
    return list((await engine.bench.stores.job_queue.sync(SyncBatch(claim=claim))).claimed)


def thaw(engine: Engine) -> None:
    frozen, engine.bench.faults.frozen = engine.bench.faults.frozen, None
    assert frozen is not None
    frozen.set()
