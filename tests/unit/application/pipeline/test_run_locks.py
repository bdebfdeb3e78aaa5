"""Which runs hold a lock, and how the keeper learns of it."""

import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.application.context import JobContext
from schedora.application.pipeline import run_locks
from schedora.application.pipeline.run import Run
from schedora.application.pipeline.run_locks import PACES, Handover, RunLocking
from schedora.application.pipeline.runs import Runs
from schedora.application.pipeline.worker import Worker
from schedora.application.ports.run_locks import RunLock
from schedora.domain.ids import JobId, LeaseId
from schedora.domain.job_state import JobState
from schedora.domain.outcome import WorkerLost
from schedora.domain.retry import MICROSECOND
from tests.builders import HOUR, NOON, SECOND, a_claimed_job, a_job_id, a_lease_id, a_request
from tests.unit.application.pipeline.engine import Engine, Held


class Keeper:
    """Holds what it is told to."""

    def __init__(self) -> None:
        self.held: dict[LeaseId, JobId] = {}
        self.taken: list[JobId] = []
        self.batches = 0

    def keep(self, taken: Sequence[RunLock], released: Sequence[RunLock]) -> None:
        assert taken or released
        self.batches += 1
        self.taken += [lock.job_id for lock in taken]
        self.held.update({lock.lease_id: lock.job_id for lock in taken})
        for lock in released:
            del self.held[lock.lease_id]


@pytest.fixture
def keeper(engine: Engine) -> Keeper:
    engine.run_locks = Keeper()
    return engine.run_locks


async def answer(_context: JobContext) -> None: ...


async def test_job_that_ends_soon_has_no_lock(engine: Engine, keeper: Keeper) -> None:
    engine.handle(answer)
    await engine.bench.stores.submit(*(a_request() for _ in range(20)))
    async with engine.running():
        await engine.advance(SECOND)
        assert engine.bench.metrics.counted != {}
    assert keeper.batches == 0


async def test_run_that_lasts_is_locked_until_it_ends(engine: Engine, keeper: Keeper) -> None:
    held = Held()
    engine.handle(held)
    jobs = await engine.bench.stores.submit(*(a_request() for _ in range(2)))
    async with engine.running():
        assert keeper.taken == []
        await engine.advance(engine.limits.lock_after)
        assert keeper.taken == [job.job_id for job in reversed(jobs)]
        assert keeper.batches == 1
        await engine.advance(60 * SECOND)
        assert keeper.batches == 1, "once for each run"
        held.let_go()
        await engine.settle()
        assert keeper.held == {}
        assert keeper.batches == 2


def test_who_keeps_the_locks_is_told_some_times_while_a_run_has_to_last_for_one() -> None:
    clock, keeper = VirtualClock(), Keeper()
    after, pace = PACES * SECOND, SECOND
    first, second = [Run(a_claimed_job(), started_at=NOON, began=n * pace / 2) for n in range(2)]
    runs = SimpleNamespace(running={run.job.lease_id: run for run in (first, second)}, unlocked=[])
    locking = RunLocking(runs=cast("Runs", runs), keeper=keeper, clock=clock, after=after)
    clock.advance(after)
    locking.tell()
    assert keeper.taken == [first.job.job_id]
    assert locking.next_at == after + pace
    clock.advance(pace - MICROSECOND)
    locking.tell()
    assert keeper.batches == 1, "it was told not long ago"
    clock.advance(MICROSECOND)
    locking.tell()
    assert keeper.taken == [first.job.job_id, second.job.job_id]


async def test_lock_is_taken_beside_others_that_start_and_end(engine: Engine, keeper: Keeper) -> None:
    held = Held()
    engine.handle(held, job_type="long")
    engine.handle(answer)
    async with engine.running():
        long = await engine.bench.stores.submit_one(a_request(type="long", priority=9))
        for _ in range(10):
            await engine.bench.submit([a_request()])
            await engine.advance(engine.limits.lock_after / 2)
        assert keeper.taken == [long.job_id]
        held.let_go()
        await engine.advance(engine.limits.lock_after)
        assert keeper.held == {}


async def test_lock_goes_with_the_outcome_though_the_handler_does_not_end(
    engine: Engine, keeper: Keeper
) -> None:
    held = Held()
    held.deaf = True
    engine.handle(held)
    await engine.bench.stores.submit_one(a_request(timeout=SECOND))
    async with engine.running():
        await engine.advance(SECOND)
        assert len(keeper.held) == 1, "it is asked to stop"
        await engine.advance(60 * SECOND)
        assert keeper.held == {}, "its job goes on without it"
        held.let_go()


async def test_lock_goes_with_the_lease(engine: Engine, keeper: Keeper) -> None:
    engine.handle(Held())
    job = await engine.bench.stores.submit_one()
    async with engine.running():
        await engine.advance(SECOND)
        assert len(keeper.held) == 1
        await engine.bench.cancel(job.job_id)
        await engine.advance(SECOND)
        assert keeper.held == {}


async def test_locks_are_told_of_while_the_store_is_away(engine: Engine, keeper: Keeper) -> None:
    held = Held()
    engine.handle(held)
    await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        engine.bench.faults.away = True
        worker.changed.set()
        await engine.advance(60 * SECOND)
        assert len(keeper.held) == 1
        held.let_go()
        await engine.advance(60 * SECOND)
        assert keeper.held == {}


async def give_to_another(engine: Engine, worker: Worker, job_id: JobId) -> None:
    """Takes the job from this worker, as a reaper does that thinks it dead."""
    assert worker.incarnation is not None
    stores = engine.bench.stores
    [claim] = await stores.job_queue.claims(worker.incarnation)
    lost = await stores.settle(claim, WorkerLost(message="silence"))
    assert (await stores.sync(completions=[lost])).accepted
    await stores.cancel(job_id)
    await stores.requeue(job_id)
    assert len(await engine.bench.claim()) == 1


async def test_contested_lock_has_the_store_asked_at_once_and_a_lost_lease_stops_the_handler(
    engine: Engine, keeper: Keeper
) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        await engine.advance(engine.limits.lock_after)
        [lease_id] = keeper.held
        await give_to_another(engine, worker, job.job_id)
        assert held.stopped == []
        worker.contested([lease_id])
        await engine.settle()
        assert held.stopped == [job.job_id]
        await engine.advance(engine.limits.lock_after)
        assert keeper.held == {}
        assert keeper.taken == [job.job_id], "the other's lock is left alone"
        assert (await engine.bench.stores.job(job.job_id)).status is JobState.RUNNING


async def test_contested_lock_is_taken_back_where_the_store_says_that_it_is_ours(
    engine: Engine, keeper: Keeper
) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        await engine.advance(engine.limits.lock_after)
        [lease_id] = keeper.held
        worker.contested([lease_id])
        await engine.settle()
        assert held.stopped == []
        assert keeper.taken == [job.job_id] * 2
        await engine.advance(HOUR / 100)
        assert keeper.taken == [job.job_id] * 2, "once for each time that it was contested"


async def test_contested_lock_waits_for_a_store_that_is_away(engine: Engine, keeper: Keeper) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        await engine.advance(engine.limits.lock_after)
        [lease_id] = keeper.held
        engine.bench.faults.away = True
        worker.contested([lease_id])
        await engine.advance(60 * SECOND)
        assert held.stopped == [], "a lock decides nothing"
        assert keeper.taken == [job.job_id]
        engine.bench.faults.away = False
        await engine.advance(60 * SECOND)
        assert keeper.taken == [job.job_id] * 2


async def test_contested_lock_of_a_run_that_is_over_is_no_matter(engine: Engine, keeper: Keeper) -> None:
    engine.handle(answer)
    await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        await engine.settle()
        worker.contested([a_lease_id()])
        await engine.advance(60 * SECOND)
    assert keeper.batches == 0


def a_lock() -> RunLock:
    return RunLock(a_job_id(), a_lease_id())


def test_handover_says_when_somebody_has_to_be_told() -> None:
    handover = Handover()
    one, two = a_lock(), a_lock()
    assert handover.put([one], [])
    assert not handover.put([two], [])
    assert handover.draw() == ([one, two], [])
    assert handover.put([], [one])
    assert not handover.put([], [two])
    assert handover.draw() == ([], [one, two])
    assert handover.draw() == ([], [])


def test_lock_that_was_not_even_taken_is_not_released() -> None:
    handover = Handover()
    lock, other = a_lock(), a_lock()
    handover.put([lock, other], [])
    handover.put([], [lock])
    assert handover.draw() == ([other], [])


def test_lock_that_was_to_be_taken_once_more_is_released() -> None:
    """A conflict that the store decides in this worker's favour has it taken again."""
    handover = Handover()
    lock = a_lock()
    handover.put([lock], [])
    handover.draw()
    handover.put([lock], [])
    handover.put([], [lock])
    assert handover.draw() == ([], [lock])
    handover.put([lock], [])
    handover.put([], [lock])
    assert handover.draw() == ([], []), "it was not drawn since"


def test_handover_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_locks, "RELEASED_MAX", 3)
    handover = Handover()
    locks = [a_lock() for _ in range(5)]
    for lock in locks:
        handover.put([], [lock])
    assert handover.draw() == ([], locks[2:])


def test_of_a_release_that_was_left_out_nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_locks, "RELEASED_MAX", 1)
    handover = Handover()
    first, second = [RunLock(a_job_id(), a_lease_id()) for _ in range(2)]
    handover.put([first, second], [])
    handover.draw()
    handover.put([], [first, second])
    assert handover.draw() == ([], [second])
    handover.put([first], [])
    handover.put([], [first])
    assert handover.draw() == ([], []), "it was not taken again"


def test_nothing_is_lost_or_doubled_between_threads() -> None:
    handover = Handover()
    locks = [a_lock() for _ in range(5_000)]
    drawn: list[RunLock] = []
    told = threading.Event()
    over = threading.Event()

    def draw() -> None:
        while not over.is_set() or told.is_set():
            told.wait(1)
            told.clear()
            drawn.extend(handover.draw()[0])

    thread = threading.Thread(target=draw)
    thread.start()
    for lock in locks:
        if handover.put([lock], []):
            told.set()
    over.set()
    told.set()
    thread.join()
    assert drawn == locks
