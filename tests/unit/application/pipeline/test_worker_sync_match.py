"""Jobs that were leased to the worker as they were stored: each runs once, however it learns of them."""

from collections import Counter as Counts
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import combinations_with_replacement
from typing import Final

import attrs
import pytest

from schedora.application.context import JobContext
from schedora.application.pipeline.claim import BUFFER_AGE_MAX
from schedora.application.pipeline.departure import FAREWELL
from schedora.application.pipeline.execute import DRAINED
from schedora.application.pipeline.handler_pool import NO_HANDLER, NO_ROOM
from schedora.application.pipeline.runs import GRACE
from schedora.application.pipeline.sync_matches import MATCH_AGE_MAX
from schedora.application.pipeline.taken_leases import TAKEN_MAX
from schedora.application.ports.job_queue import JobQueue, Start, SyncAnswer, SyncBatch
from schedora.application.ports.metrics import Counter, Histogram
from schedora.application.ports.wakeup import Hint
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import IncarnationId, JobId, LeaseId
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora.domain.worker import WorkerState
from tests.builders import HOUR, SECOND, a_lease_id, a_request, an_incarnation
from tests.unit.application.pipeline.engine import W1, Engine, Held
from tests.unit.application.pipeline.recorded import RecordedWakeup

S = JobState
AN_INSTANT = BUFFER_AGE_MAX / 1_000_000
LONG_ENOUGH: Final = 10 * SECOND
"""For the longest pause between two tries."""
MOMENTS: Final = (
    "before the check",
    "before held",
    "after held",
    "before claims",
    "after claims",
    "after the check",
    "after its end",
)
"""Around a check of leases: each question to the store, as it arrives there and as its answer leaves."""


class Asked:
    """What is asked of the store, and what happens meanwhile."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self.claims_made = 0
        self.checks_made = 0
        self.happening: dict[str, Callable[[], Awaitable[None]]] = {}
        """What is to happen at a moment, the next time that it comes."""

    async def sync(self, batch: SyncBatch) -> SyncAnswer:
        self.claims_made += batch.claim is not None
        await self.comes("before batch")
        return await self._queue.sync(batch)

    async def held(self, owner: IncarnationId) -> frozenset[LeaseId]:
        self.checks_made += 1
        await self.comes("before held")
        held = await self._queue.held(owner)
        await self.comes("after held")
        return held

    async def claims(self, owner: IncarnationId) -> list[ClaimedJob]:
        await self.comes("before claims")
        claims = await self._queue.claims(owner)
        await self.comes("after claims")
        return claims

    async def comes(self, moment: str) -> None:
        if (happens := self.happening.pop(moment, None)) is not None:
            await happens()


class Gate:
    """A handler that counts its runs, which end while the gate is open."""

    def __init__(self, engine: Engine, *, is_open: bool = True) -> None:
        self.runs: Counts[JobId] = Counts()
        self.is_open = is_open
        self._clock = engine.bench.clock

    async def __call__(self, context: JobContext) -> str:
        self.runs[context.job_id] += 1
        while not self.is_open:
            await self._clock.sleep(AN_INSTANT)
        return "done"


@pytest.fixture
def asked(engine: Engine) -> Asked:
    engine.queue = asked = Asked(engine.queue)
    return asked


@pytest.fixture
def held(engine: Engine) -> Held:
    held = Held()
    engine.handle(held)
    return held


@pytest.fixture
def gate(engine: Engine) -> Gate:
    gate = Gate(engine)
    engine.handle(gate)
    return gate


async def matched(engine: Engine, owner: IncarnationId | None = None, job_type: str = "work") -> ClaimedJob:
    """A job that was leased as it was stored, to this worker unless said otherwise. Nobody knows of it yet."""
    stores = engine.bench.stores
    await stores.submit_one(a_request(type=job_type, priority=10))
    owner = owner or engine.heartbeat.incarnations[-1]
    [job] = await stores.claim(owner, worker_id=W1, types=(job_type,), limit=1, start_count=0)
    return job


def told_of(job: ClaimedJob) -> Hint:
    return Hint(owners=frozenset({job.owner}), matched=job)


async def now(engine: Engine, job: ClaimedJob) -> Job:
    """What has become of it."""
    return await engine.bench.stores.job(job.job_id)


def in_doubt(engine: Engine) -> Hint:
    """What makes the worker check its leases."""
    return Hint(owners=frozenset({engine.heartbeat.incarnations[-1]}))


async def test_it_runs_without_a_claim_or_a_question(
    engine: Engine, wakeup: RecordedWakeup, asked: Asked, gate: Gate
) -> None:
    async with engine.running():
        before = (asked.claims_made, asked.checks_made)
        assert before == (1, 0), "one that has just registered holds nothing"
        job = await matched(engine)
        wakeup.subscription.deliver(told_of(job))
        await engine.settle()
        done = await now(engine, job)
        assert (asked.claims_made, asked.checks_made) == before
    assert (done.status, done.attempt, done.lease_token, done.worker_id) == (S.SUCCESS, 1, 1, W1)
    assert [event.to_state for event in done.events()] == [S.PENDING, S.SCHEDULED, S.RUNNING, S.SUCCESS]


async def test_it_starts_before_the_loop_has_woken_up(
    engine: Engine, wakeup: RecordedWakeup, held: Held
) -> None:
    async with engine.running() as worker:
        wakeup.subscription.deliver(told_of(await matched(engine)))
        assert worker.stages.pool.free == engine.slots - 1


async def test_it_is_counted(engine: Engine, wakeup: RecordedWakeup, gate: Gate) -> None:
    async with engine.running():
        job = await matched(engine)
        engine.bench.clock.advance(SECOND / 2)
        wakeup.subscription.deliver(told_of(job))
        await engine.settle()
    metrics = engine.bench.metrics
    assert (metrics.counted[Counter.JOBS_SYNC_MATCHED, ""], metrics.counted[Counter.WAKEUPS, ""]) == (1, 1)
    waited = [one for one in metrics.observed if one[0] is Histogram.JOB_QUEUE_LATENCY]
    assert waited == [(Histogram.JOB_QUEUE_LATENCY, ("default",), 0 * SECOND)]


async def test_long_one_is_on_record_as_running(engine: Engine, wakeup: RecordedWakeup, held: Held) -> None:
    async with engine.running():
        job = await matched(engine)
        wakeup.subscription.deliver(told_of(job))
        await engine.advance(engine.limits.flush)
        running = await now(engine, job)
        assert (running.status, running.attempt, running.worker_id) == (S.RUNNING, 1, W1)


@pytest.mark.parametrize("slow_answers", [False, True], ids=["in time", "after a slow answer"])
async def test_it_starts_no_sooner_than_it_was_stored(
    engine: Engine, wakeup: RecordedWakeup, gate: Gate, slow_answers: bool
) -> None:
    """What a store says of its time is old by as long as the answer took to arrive."""
    async with engine.running() as worker:
        heard, found = await matched(engine), await matched(engine)
        if slow_answers:
            worker.stages.store_time.learn(engine.bench.clock.now() - 5 * SECOND)
        wakeup.subscription.deliver(told_of(heard))
        await engine.settle()
        if slow_answers:
            worker.stages.store_time.learn(engine.bench.clock.now() - 5 * SECOND)
        wakeup.subscription.deliver(in_doubt(engine))
        await engine.settle()
        for job in (heard, found):
            done = await now(engine, job)
            assert done.started_at is not None
            assert done.completed_at is not None
            assert job.created_at <= done.started_at <= done.completed_at


async def test_one_for_an_earlier_life_is_nothing_to_this_one(
    engine: Engine, wakeup: RecordedWakeup, asked: Asked, gate: Gate
) -> None:
    async with engine.running() as worker:
        earlier = engine.heartbeat.incarnations[-1]
        job = await matched(engine)
        worker.heard(earlier, WorkerState.STALE)
        await engine.settle()
        assert engine.heartbeat.incarnations[-1] != earlier
        checks_made = asked.checks_made
        wakeup.subscription.deliver(told_of(job))
        wakeup.subscription.deliver(told_of(await matched(engine, await _another(engine))))
        await engine.settle()
        assert asked.checks_made == checks_made
        assert engine.heartbeat.asked == 0
        assert (await now(engine, job)).status is S.SCHEDULED, "the reaper's"
    assert not gate.runs
    assert engine.bench.metrics.counted[Counter.JOBS_SYNC_MATCHED, ""] == 0


async def _another(engine: Engine) -> IncarnationId:
    return (
        await engine.bench.stores.workers.register(
            engine.worker.stages.registration.identity, an_incarnation()
        )
    ).incarnation


async def test_what_comes_late_is_run_once_it_is_known_to_be_its_own(
    engine: Engine, wakeup: RecordedWakeup, asked: Asked, held: Held
) -> None:
    async with engine.running():
        job = await matched(engine)
        await engine.advance(MATCH_AGE_MAX + AN_INSTANT)
        checks_made = asked.checks_made
        wakeup.subscription.deliver(told_of(job))
        assert engine.worker.stages.pool.free == engine.slots, "not before the store was asked"
        await engine.settle()
        assert asked.checks_made == checks_made + 1
        assert [context.job_id for context in held.contexts] == [job.job_id]
        held.let_go()
        await engine.settle()
        assert (await now(engine, job)).status is S.SUCCESS
    assert engine.heartbeat.asked == 1, "whether it is thought to live"


async def test_what_comes_in_the_nick_of_time_is_run(
    engine: Engine, wakeup: RecordedWakeup, asked: Asked, gate: Gate
) -> None:
    async with engine.running():
        job = await matched(engine)
        await engine.advance(MATCH_AGE_MAX)
        checks_made = asked.checks_made
        wakeup.subscription.deliver(told_of(job))
        await engine.settle()
        assert (gate.runs[job.job_id], asked.checks_made) == (1, checks_made)


async def test_while_it_may_have_been_given_up_it_asks_first(
    engine: Engine, wakeup: RecordedWakeup, asked: Asked, gate: Gate
) -> None:
    async def comes(*, checks: int) -> None:
        job = await matched(engine)
        checks_made = asked.checks_made
        wakeup.subscription.deliver(told_of(job))
        assert engine.worker.stages.pool.free == engine.slots - (0 if checks else 1)
        await engine.settle()
        assert (gate.runs[job.job_id], asked.checks_made - checks_made) == (1, checks)

    async with engine.running() as worker:
        await engine.advance(engine.limits.live_for)
        await comes(checks=0)
        await engine.advance(AN_INSTANT)
        await comes(checks=1)
        worker.heard(an_incarnation(), WorkerState.ACTIVE)  # of another
        await comes(checks=1)
        worker.heard(engine.heartbeat.incarnations[-1], WorkerState.ACTIVE)
        await comes(checks=0)
        await engine.advance(engine.limits.live_for + AN_INSTANT)
        worker.heard(engine.heartbeat.incarnations[-1], WorkerState.STALE)
        await engine.settle()
        await comes(checks=0)  # in its new life


async def test_age_goes_by_the_stores_clock(
    engine: Engine, wakeup: RecordedWakeup, asked: Asked, gate: Gate
) -> None:
    async with engine.running() as worker:
        job = attrs.evolve(await matched(engine), claimed_at=engine.bench.clock.now() - HOUR)
        worker.stages.store_time.learn(job.claimed_at)
        checks_made = asked.checks_made
        wakeup.subscription.deliver(told_of(job))
        await engine.settle()
        assert (gate.runs[job.job_id], asked.checks_made) == (1, checks_made)


async def test_what_comes_late_and_is_its_own_no_more_is_left_alone(
    engine: Engine, wakeup: RecordedWakeup, gate: Gate
) -> None:
    async with engine.running():
        job = await matched(engine)
        await engine.bench.stores.cancel(job.job_id)
        await engine.advance(2 * MATCH_AGE_MAX)
        wakeup.subscription.deliver(told_of(job))
        await engine.settle()
    assert not gate.runs
    assert engine.bench.metrics.counted[Counter.JOBS_FENCED, ""] == 0


async def test_what_it_is_not_told_of_is_found_by_a_check(
    engine: Engine, wakeup: RecordedWakeup, gate: Gate
) -> None:
    async with engine.running():
        job = await matched(engine)
        await engine.advance(engine.limits.lease_check_idle)
        assert gate.runs == {job.job_id: 1}
        assert (await now(engine, job)).status is S.SUCCESS


async def test_check_that_finds_what_is_known_asks_for_no_more(
    engine: Engine, wakeup: RecordedWakeup, asked: Asked, held: Held
) -> None:
    questions: list[str] = []

    async def note() -> None:
        questions.append("what jobs are these?")

    async with engine.running():
        wakeup.subscription.deliver(told_of(await matched(engine)))
        checks_made = asked.checks_made
        asked.happening = {"before claims": note}
        wakeup.subscription.deliver(in_doubt(engine))
        await engine.settle()
        assert (asked.checks_made, questions) == (checks_made + 1, [])


@pytest.mark.parametrize("another_is_found", [False, True])
@pytest.mark.parametrize("short", [False, True], ids=["long", "short"])
async def test_it_runs_once_whenever_it_is_told_of_around_a_check(
    engine: Engine, wakeup: RecordedWakeup, asked: Asked, gate: Gate, short: bool, another_is_found: bool
) -> None:
    """Stored at one moment, told of at this or a later one, and told of again, in each order that there is."""
    engine.slots = 3

    async def live(stored: str, told: str | None, again: str | None) -> None:
        gate.is_open = short
        jobs: list[ClaimedJob] = []

        async def happen(moment: str) -> None:
            if moment == "after its end":
                gate.is_open = True
                await engine.advance(2 * AN_INSTANT)
            if moment == stored:
                jobs.append(await matched(engine))
            for _ in range((told, again).count(moment)):
                wakeup.subscription.deliver(told_of(jobs[0]))
                await engine.settle()

        asked.happening = {
            moment: lambda moment=moment: happen(moment)  # type: ignore[misc]
            for moment in MOMENTS
        }
        await asked.comes("before the check")
        other = await matched(engine) if another_is_found else None
        wakeup.subscription.deliver(in_doubt(engine))
        await engine.settle()
        for moment in MOMENTS:  # those of the check that did not come, too
            await asked.comes(moment)
        wakeup.subscription.deliver(in_doubt(engine))
        await engine.settle()
        for job in [*jobs, *([other] if other else [])]:
            assert gate.runs.pop(job.job_id) == 1
            done = await now(engine, job)
            assert (done.status, done.attempt, done.lease_token) == (S.SUCCESS, 1, 1)
        assert not gate.runs

    async with engine.running() as worker:
        for stored, told in combinations_with_replacement(MOMENTS, 2):
            for again in (None, *MOMENTS[MOMENTS.index(told) :]):
                await live(stored, told, again)
        for stored in MOMENTS:
            await live(stored, None, None)
        assert worker.stages.pool.free == engine.slots
        assert engine.task is not None
        assert not engine.task.done()
    counted = engine.bench.metrics.counted
    assert counted[Counter.JOBS_FENCED, ""] == 0


async def test_told_of_twice_it_runs_once(
    engine: Engine, wakeup: RecordedWakeup, asked: Asked, gate: Gate
) -> None:
    async with engine.running():
        job = await matched(engine)
        checks_made = asked.checks_made
        wakeup.subscription.deliver(told_of(job))
        wakeup.subscription.deliver(told_of(job))
        await engine.settle()
        assert (await now(engine, job)).status is S.SUCCESS
        wakeup.subscription.deliver(told_of(job))
        await engine.settle()
        assert (gate.runs, asked.checks_made) == ({job.job_id: 1}, checks_made)
    assert engine.bench.metrics.counted[Counter.JOBS_SYNC_MATCHED, ""] == 1


async def test_it_remembers_no_more_than_it_needs(engine: Engine, wakeup: RecordedWakeup, held: Held) -> None:
    async with engine.running() as worker:
        job = await matched(engine)
        leases = [a_lease_id() for _ in range(TAKEN_MAX + 1)]
        for lease_id in leases:
            worker.stages.arrivals.found([attrs.evolve(job, lease_id=lease_id)])
        assert [lease_id for lease_id in leases if lease_id in worker.stages.taken] == leases[1:]


def by_signal(engine: Engine) -> None:
    engine.worker.drain()


def by_request(engine: Engine) -> None:
    engine.worker.heard(engine.heartbeat.incarnations[-1], WorkerState.DRAINING)


@pytest.mark.parametrize("drain", [by_signal, by_request])
@pytest.mark.parametrize("told", [True, False], ids=["told of", "found"])
async def test_while_draining_it_goes_back_at_once(
    engine: Engine, wakeup: RecordedWakeup, held: Held, drain: Callable[[Engine], None], told: bool
) -> None:
    await engine.bench.stores.submit_one()
    async with engine.running():
        drain(engine)
        await engine.settle()
        job = await matched(engine)
        wakeup.subscription.deliver(told_of(job) if told else in_doubt(engine))
        await engine.settle()
        back = await now(engine, job)
        assert len(held.contexts) == 1, "what ran before goes on, and nothing else"
    assert (back.status, back.attempt, back.errors) == (S.PENDING, 0, ())
    assert back.history[-1].reason == DRAINED
    assert wakeup.notified == [({"default"}, False)]


async def test_declared_lost_it_runs_it_under_no_lease_of_its_earlier_life(
    engine: Engine, wakeup: RecordedWakeup, gate: Gate
) -> None:
    async with engine.running() as worker:
        job = await matched(engine)
        worker.heard(engine.heartbeat.incarnations[-1], WorkerState.STALE)
        wakeup.subscription.deliver(told_of(job))  # before it has registered again
        assert worker.stages.pool.free == engine.slots
        await engine.settle()
        assert len(engine.heartbeat.incarnations) == 2
        done = await now(engine, job)
    assert (done.status, done.attempt, done.lease_token) == (S.SUCCESS, 1, 2)
    assert gate.runs == {job.job_id: 1}


async def test_more_than_the_slots_hold_goes_back_at_once_where_jobs_take_long(
    engine: Engine, wakeup: RecordedWakeup, held: Held
) -> None:
    async with engine.running() as worker:
        jobs = [await matched(engine) for _ in range(engine.slots + 2)]
        for job in jobs:
            wakeup.subscription.deliver(told_of(job))
        assert worker.stages.pool.buffered == 0
        await engine.advance(BUFFER_AGE_MAX / 2)
        assert [(await now(engine, job)).status for job in jobs] == [S.RUNNING] * 2 + [S.PENDING] * 2
        for job in jobs[engine.slots :]:
            back = await now(engine, job)
            assert (back.status, back.attempt, back.history[-1].reason) == (S.PENDING, 0, NO_ROOM)
        assert wakeup.notified == [({"default"}, False)]


async def test_more_than_the_slots_hold_waits_for_room_where_jobs_are_short(
    engine: Engine, wakeup: RecordedWakeup, held: Held
) -> None:
    async with engine.running() as worker:
        worker.stages.pool.runs.durations += [timedelta(milliseconds=1)] * 100
        wakeup.subscription.deliver(Hint())  # with the next claim it learns of them
        await engine.settle()
        jobs = [await matched(engine) for _ in range(engine.slots + 2)]
        for job in jobs:
            wakeup.subscription.deliver(told_of(job))
        await engine.advance(BUFFER_AGE_MAX / 2)
        held.let_go()
        await engine.settle()
        for job in jobs:
            done = await now(engine, job)
            assert (done.status, done.lease_token) == (S.SUCCESS, 1)


@pytest.mark.parametrize("told", [True, False], ids=["told of", "found"])
async def test_one_that_nobody_here_can_run_goes_back_and_harms_no_other(
    engine: Engine, wakeup: RecordedWakeup, gate: Gate, told: bool
) -> None:
    async with engine.running():
        jobs = [await matched(engine, job_type="of another"), await matched(engine)]
        for job in jobs:
            wakeup.subscription.deliver(told_of(job) if told else in_doubt(engine))
        await engine.settle()
        back, done = [await now(engine, job) for job in jobs]
        assert engine.task is not None
        assert not engine.task.done()
    assert (back.status, back.attempt, back.history[-1].reason) == (S.PENDING, 0, NO_HANDLER)
    assert done.status is S.SUCCESS


async def test_handler_may_hand_it_on_as_any_other(
    engine: Engine, wakeup: RecordedWakeup, gate: Gate
) -> None:
    async def fail(_context: JobContext) -> None:
        raise LookupError

    engine.handle(fail, job_type="fails")
    async with engine.running():
        job = await matched(engine, job_type="fails")
        wakeup.subscription.deliver(told_of(job))
        await engine.settle()
        failed = await now(engine, job)
        assert (failed.status, failed.attempt, failed.errors[-1].kind) == (S.RETRYING, 1, "LookupError")
        await engine.advance(HOUR)
        assert (await now(engine, job)).status is S.DEAD


async def test_while_the_store_is_away_it_runs_and_its_result_is_kept(
    engine: Engine, wakeup: RecordedWakeup, gate: Gate
) -> None:
    async with engine.running():
        job = await matched(engine)
        engine.bench.faults.away = True
        wakeup.subscription.deliver(told_of(job))
        await engine.settle()
        wakeup.subscription.deliver(in_doubt(engine))
        await engine.advance(HOUR)
        assert gate.runs == {job.job_id: 1}
        engine.bench.faults.away = False
        await engine.advance(LONG_ENOUGH)
        done = await now(engine, job)
    assert (done.status, done.attempt, gate.runs) == (S.SUCCESS, 1, {job.job_id: 1})
    assert done.completed_at == job.claimed_at, "when it ended, not when the store learned of it"


@pytest.mark.parametrize("point", ["job_queue.held", "job_queue.claims"])
async def test_check_that_finds_no_store_is_made_again(
    engine: Engine, wakeup: RecordedWakeup, gate: Gate, point: str
) -> None:
    async with engine.running():
        job = await matched(engine)
        engine.bench.faults.fail(point)
        await engine.advance(2 * MATCH_AGE_MAX)
        wakeup.subscription.deliver(told_of(job))
        await engine.settle()
        assert not gate.runs
        await engine.advance(SECOND)
        assert (await now(engine, job)).status is S.SUCCESS
        assert gate.runs == {job.job_id: 1}


async def test_leaving_it_releases_what_it_never_heard_of(
    engine: Engine, wakeup: RecordedWakeup, held: Held
) -> None:
    async with engine.running() as worker:
        unheard = await matched(engine)
        worker.drain()
        await engine.settle()
        assert engine.task is not None
        assert engine.task.done()
        back = await now(engine, unheard)
        assert not held.contexts
    assert (back.status, back.attempt, back.worker_deaths, back.errors) == (S.PENDING, 0, 0, ())
    assert back.history[-1].reason == DRAINED
    assert wakeup.notified == [({"default"}, False)]
    [seen] = await engine.incarnations()
    assert seen.status is WorkerState.STOPPED


async def test_leaving_it_releases_what_comes_while_it_says_good_bye(
    engine: Engine, wakeup: RecordedWakeup, asked: Asked, held: Held
) -> None:
    async with engine.running() as worker:
        jobs = [await matched(engine) for _ in range(2)]

        async def hear() -> None:
            wakeup.subscription.deliver(told_of(jobs[0]))

        asked.happening = {"before claims": hear}
        worker.drain()
        await engine.settle()
        for job in jobs:
            back = await now(engine, job)
            assert (back.status, back.attempt, back.lease_token) == (S.PENDING, 0, 1)


async def test_it_does_not_leave_before_that_is_written(
    engine: Engine, wakeup: RecordedWakeup, asked: Asked, held: Held
) -> None:
    async with engine.running() as worker:
        unheard = await matched(engine)
        asked.happening = {"before batch": lambda: engine.bench.clock.sleep(SECOND)}
        worker.drain()
        await engine.settle()
        assert engine.task is not None
        assert not engine.task.done()
        await engine.advance(SECOND)
        assert engine.task.done()
        assert (await now(engine, unheard)).status is S.PENDING


async def test_store_that_does_not_answer_is_asked_nothing_by_one_that_has_left(
    engine: Engine, wakeup: RecordedWakeup, asked: Asked, held: Held
) -> None:
    async with engine.running() as worker:
        unheard = await matched(engine)
        asked.happening = {"before batch": lambda: engine.bench.clock.sleep(HOUR)}
        worker.drain()
        await engine.advance(FAREWELL)
        assert engine.task is not None
        assert engine.task.done()
        assert engine.bench.clock.sleepers == 0
        await engine.advance(HOUR)
        assert (await now(engine, unheard)).status is S.SCHEDULED


async def test_leaving_it_touches_neither_what_has_started_nor_what_it_knows(
    engine: Engine, wakeup: RecordedWakeup, held: Held
) -> None:
    held.deaf = True
    async with engine.running() as worker:
        known = await matched(engine)
        wakeup.subscription.deliver(told_of(known))
        started, unheard = await matched(engine), await matched(engine)
        await engine.bench.stores.job_queue.sync(starts_of(engine, started))
        engine.bench.faults.away = True
        worker.drain()
        await engine.advance(engine.limits.shutdown_timeout + GRACE)
        held.let_go()
        await engine.advance(GRACE - AN_INSTANT)
        worker.stages.contact.retry_at = engine.bench.clock.monotonic() + HOUR
        engine.bench.faults.away = False
        await engine.advance(GRACE)
        assert engine.task is not None
        assert engine.task.done()
        assert (await now(engine, started)).status is S.RUNNING, "the reaper's"
        assert (await now(engine, unheard)).history[-1].reason == DRAINED
        back = await now(engine, known)
        assert (back.status, len(back.history)) == (S.PENDING, 3), "given back once"


def starts_of(engine: Engine, job: ClaimedJob) -> SyncBatch:
    start = Start(job_id=job.job_id, lease_id=job.lease_id, started_at=engine.bench.clock.now())
    return SyncBatch(starts=[start])


@pytest.mark.parametrize("point", ["workers.set_status", "job_queue.claims", "job_queue.sync"])
async def test_leaving_a_store_that_is_away_it_leaves_the_rest_to_the_reaper(
    engine: Engine, wakeup: RecordedWakeup, held: Held, point: str
) -> None:
    async with engine.running() as worker:
        unheard = await matched(engine)
        engine.bench.faults.fail(point)
        worker.drain()
        await engine.settle()
        assert engine.task is not None
        assert engine.task.done()
        assert engine.task.exception() is None
        assert (await now(engine, unheard)).status is S.SCHEDULED
    engine.bench.clock.advance(100 * SECOND)
    await engine.bench.stores.workers.declare_stale([unheard.owner], 90 * SECOND)
    assert await engine.bench.rescue() == 1
    assert (await now(engine, unheard)).attempt == 0


async def test_it_says_how_many_it_would_start_at_once(
    engine: Engine, wakeup: RecordedWakeup, held: Held
) -> None:
    engine.slots = 3
    async with engine.running():
        subscription = wakeup.subscription
        assert (subscription.owner, subscription.room) == (engine.heartbeat.incarnations[-1], 3)
        for room in (2, 1, 0):
            subscription.deliver(told_of(await matched(engine)))
            await engine.settle()
            assert subscription.room == room
        held.let_go()
        await engine.settle()
        assert subscription.room == 3


@pytest.mark.parametrize("drain", [by_signal, by_request])
async def test_it_would_start_none_while_draining(
    engine: Engine, wakeup: RecordedWakeup, held: Held, drain: Callable[[Engine], None]
) -> None:
    await engine.bench.stores.submit_one()
    async with engine.running():
        assert wakeup.subscription.room == engine.slots - 1
        drain(engine)
        await engine.settle()
        assert wakeup.subscription.room == 0


async def test_it_would_start_none_while_the_store_is_away(
    engine: Engine, wakeup: RecordedWakeup, held: Held
) -> None:
    async with engine.running():
        engine.bench.faults.away = True
        wakeup.subscription.deliver(in_doubt(engine))
        await engine.settle()
        assert wakeup.subscription.room == 0
        engine.bench.faults.away = False
        await engine.advance(LONG_ENOUGH)
        assert wakeup.subscription.room == engine.slots


async def test_they_do_not_make_it_think_that_hints_were_missed(
    engine: Engine, wakeup: RecordedWakeup, held: Held
) -> None:
    async with engine.running():
        await engine.advance(HOUR)
        for _ in range(engine.slots):
            wakeup.subscription.deliver(told_of(await matched(engine)))
        await engine.settle()
        waiting = await engine.bench.stores.submit_one()
        wakeup.subscription.deliver(Hint(queues=frozenset({"default"})))  # which it can't follow up
        await engine.advance(HOUR / 60)
        held.let_go()
        await engine.advance(engine.limits.poll_policy.poll_longest * 1.2)
        assert (await engine.bench.stores.job(waiting.job_id)).status is S.SUCCESS
    assert engine.bench.metrics.counted[Counter.WAKEUPS_MISSED, ""] == 0


async def test_they_do_not_hide_that_hints_were_missed(
    engine: Engine, wakeup: RecordedWakeup, gate: Gate
) -> None:
    async with engine.running() as worker:
        await engine.advance(HOUR)
        await engine.bench.stores.submit_one()
        await engine.advance(2 * SECOND)
        wakeup.subscription.deliver(told_of(await matched(engine)))
        await engine.settle()
        assert worker.stages.pool.free == engine.slots
        await engine.advance(engine.limits.poll_policy.poll_longest * 1.2)
    assert engine.bench.metrics.counted[Counter.WAKEUPS_MISSED, ""] == 1
