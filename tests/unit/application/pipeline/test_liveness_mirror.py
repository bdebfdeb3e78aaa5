"""What a worker shows beside the store."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from schedora.application.pipeline import liveness_mirror
from schedora.application.pipeline.heartbeat import RETRY_AFTER
from schedora.application.pipeline.liveness_mirror import PATIENCE, LivenessMirror
from schedora.application.pipeline.run_locks import Handover
from schedora.application.ports.metrics import Counter
from schedora.application.ports.run_locks import Contested, RunLock
from schedora.domain.ids import IncarnationId, LeaseId, WorkerId
from schedora.domain.worker import WorkerState
from tests.builders import SECOND, a_job_id, a_lease_id, an_incarnation
from tests.unit.application.bench import HEARTBEAT_TIMEOUT, Bench

INTERVAL = 30 * SECOND


def a_lock(**fields: object) -> RunLock:
    return RunLock(**{"job_id": a_job_id(), "lease_id": a_lease_id(), **fields})  # type: ignore[arg-type] # by name


def same_job(lock: RunLock) -> RunLock:
    """Another lease of it."""
    return a_lock(job_id=lock.job_id)


class Heard:
    """What a worker's liveness mirror asks for, in order, and what is answered."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, IncarnationId | None, int]] = []
        """With the incarnation, and how many locks."""
        self.noted = True
        self.contested: list[Contested] = []
        """What the next that takes, renews or releases is told."""

    async def beat(self, incarnation: IncarnationId) -> bool:
        self.calls.append(("beat", incarnation, 0))
        return self.noted

    async def alive(self, incarnations: Collection[IncarnationId]) -> frozenset[IncarnationId]:
        raise AssertionError("who lives is for others to ask")

    async def forget(self, incarnation: IncarnationId) -> None:
        self.calls.append(("forget", incarnation, 0))

    async def take(self, owner: IncarnationId, locks: Sequence[RunLock]) -> Sequence[Contested] | None:
        return self._asked("take", owner, locks)

    async def renew(self, owner: IncarnationId, locks: Sequence[RunLock]) -> Sequence[Contested] | None:
        return self._asked("renew", owner, locks)

    async def release(self, locks: Sequence[RunLock]) -> Sequence[Contested] | None:
        return self._asked("release", None, locks)

    def _asked(
        self, what: str, owner: IncarnationId | None, locks: Sequence[RunLock]
    ) -> Sequence[Contested] | None:
        self.calls.append((what, owner, len(locks)))
        contested, self.contested = self.contested, []
        return contested if self.noted else None


class Shown:
    """One worker's liveness mirror, and what is seen of it."""

    def __init__(self, bench: Bench, heard: Heard | None = None, handover: Handover | None = None) -> None:
        self.bench = bench
        self.incarnation = an_incarnation()
        self.contested: list[LeaseId] = []
        self.handover = handover or Handover()
        self.liveness_mirror = LivenessMirror(
            worker_id=WorkerId("w1"),
            heartbeats=heard or bench.heartbeats,
            run_locks=heard or bench.run_locks,
            handover=self.handover,
            clock=bench.clock,
            metrics=bench.metrics,
            interval=INTERVAL,
            on_contested=self._contest,
        )

    def _contest(self, leases: Collection[LeaseId]) -> None:
        self.contested += leases

    @asynccontextmanager
    async def shown(self, *, registered: bool = True) -> AsyncIterator["asyncio.Task[None]"]:
        task = asyncio.create_task(self.liveness_mirror.run())
        if registered:
            await self.hear(WorkerState.ACTIVE)
        try:
            yield task
        finally:
            self.liveness_mirror.stop()
            await task

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def hear(self, status: WorkerState | None, incarnation: IncarnationId | None = None) -> None:
        self.liveness_mirror.heard(incarnation or self.incarnation, status)
        await self.settle()

    async def keep(self, taken: Sequence[RunLock] = (), released: Sequence[RunLock] = ()) -> None:
        if self.handover.put(taken, released):
            self.liveness_mirror.wake()
        await self.settle()

    async def advance(self, span: timedelta) -> None:
        clock = self.bench.clock
        end = clock.now() + span
        while (moment := clock.next_wait) is not None and moment <= end:
            clock.advance_to_next_wait()
            await self.settle()
        clock.advance(end - clock.now())
        await self.settle()

    async def lives(self, incarnation: IncarnationId | None = None) -> bool:
        return bool(await self.bench.heartbeats.alive([incarnation or self.incarnation]))

    async def holder(self, lock: RunLock) -> str | None:
        """Whose lease stands in the lock of this job."""
        others = await self.bench.run_locks.release([a_lock(job_id=lock.job_id)])
        return others[0].holder if others else None

    @property
    def conflicts(self) -> int:
        return self.bench.metrics.counted[Counter.RUN_LOCK_CONFLICTS, ""]


@pytest.fixture
async def shown(bench: Bench) -> Shown:
    return Shown(bench)


async def test_a_sign_of_life_follows_each_that_the_store_took(shown: Shown) -> None:
    async with shown.shown(registered=False):
        await shown.settle()
        assert not await shown.lives()
        for _ in range(5):
            await shown.hear(WorkerState.ACTIVE)
            assert await shown.lives()
            await shown.advance(HEARTBEAT_TIMEOUT / 2)
    assert not await shown.lives(), "it has stopped"


async def test_goes_on_by_itself_while_the_store_takes_none(shown: Shown) -> None:
    async with shown.shown():
        for _ in range(10):
            await shown.advance(HEARTBEAT_TIMEOUT)
            assert await shown.lives()


async def test_does_not_beat_twice_while_the_store_takes_each(shown: Shown) -> None:
    async with shown.shown():
        beaten_at = shown.bench.clock.now()
        assert shown.bench.clock.next_wait == beaten_at + INTERVAL * PATIENCE


@pytest.mark.parametrize("status", [WorkerState.STALE, WorkerState.STOPPED, None])
async def test_one_that_was_declared_lost_shows_nothing(shown: Shown, status: WorkerState | None) -> None:
    async with shown.shown():
        await shown.hear(status)
        assert not await shown.lives()
        await shown.advance(10 * INTERVAL)
        assert not await shown.lives()
        again = an_incarnation()
        await shown.hear(WorkerState.ACTIVE, again)
        assert await shown.lives(again)


async def test_a_new_incarnation_takes_the_place_of_the_old(shown: Shown) -> None:
    async with shown.shown():
        other = an_incarnation()
        await shown.hear(WorkerState.DRAINING, other)
        assert await shown.lives(other)
        assert not await shown.lives()


async def test_what_does_not_note_it_is_tried_again_soon(shown: Shown) -> None:
    async with shown.shown():
        shown.bench.faults.signs_lost = True
        await shown.advance(2 * HEARTBEAT_TIMEOUT)
        shown.bench.faults.signs_lost = False
        assert not await shown.lives()
        await shown.advance(RETRY_AFTER)
        assert await shown.lives()


async def test_locks_are_held_as_long_as_the_worker_lives(shown: Shown) -> None:
    lock = a_lock()
    async with shown.shown():
        await shown.keep([lock])
        for _ in range(10):
            await shown.advance(HEARTBEAT_TIMEOUT)
            assert await shown.holder(lock) == str(lock.lease_id)
        await shown.keep(released=[lock])
        assert await shown.holder(lock) is None
    assert (shown.conflicts, shown.contested) == (0, [])


async def test_locks_are_given_up_at_the_end(shown: Shown) -> None:
    held, handed_over = a_lock(), a_lock()
    async with shown.shown():
        await shown.keep([held])
        shown.handover.put([handed_over], [])
    assert await shown.holder(held) is None
    assert await shown.holder(handed_over) is None


async def test_lock_taken_before_the_first_sign_of_life_comes_with_it(shown: Shown) -> None:
    lock = a_lock()
    async with shown.shown(registered=False):
        await shown.keep([lock])
        assert await shown.holder(lock) is None
        await shown.hear(WorkerState.ACTIVE)
        assert await shown.holder(lock) == str(lock.lease_id)


async def test_lock_that_another_held_is_taken_and_told_of(shown: Shown) -> None:
    lock = a_lock()
    earlier = same_job(lock)
    await shown.bench.run_locks.take(an_incarnation(), [earlier])
    with capture_logs() as logs:
        async with shown.shown():
            await shown.keep([lock, a_lock()])
            assert await shown.holder(lock) == str(lock.lease_id)
            assert (shown.conflicts, shown.contested) == (1, [lock.lease_id])
            await shown.advance(10 * INTERVAL)
            assert shown.conflicts == 1, "told of once"
    [told] = [entry for entry in logs if entry["log_level"] == "warning"]
    assert told["event"] == "run lock held by another lease; the store decides"
    assert (told["job_id"], told["worker_id"]) == (str(lock.job_id), "w1")
    assert told["lease_id"] == str(lock.lease_id)[:8]
    assert told["holder"] == str(earlier.lease_id)[:8], "a lease id is all that it takes to end a job"


async def test_lock_that_another_held_is_not_kept_once_its_run_is_over(shown: Shown) -> None:
    lock = a_lock()
    await shown.bench.run_locks.take(an_incarnation(), [same_job(lock)])
    async with shown.shown():
        await shown.keep([lock])
        shown.handover.put([lock], [])  # the store said whose it is
        await shown.keep(released=[lock])  # before that was heard
        shown.liveness_mirror.wake()
        await shown.settle()
        await shown.hear(WorkerState.ACTIVE)
        assert await shown.holder(lock) is None


async def test_lock_that_another_has_taken_is_left_to_it(shown: Shown) -> None:
    lock = a_lock()
    async with shown.shown():
        await shown.keep([lock])
        later = same_job(lock)
        await shown.bench.run_locks.take(an_incarnation(), [later])
        await shown.hear(WorkerState.ACTIVE)
        assert (shown.conflicts, shown.contested) == (1, [lock.lease_id])
        assert await shown.holder(lock) == str(later.lease_id)
        await shown.hear(WorkerState.ACTIVE)
        await shown.keep(released=[lock])
        assert await shown.holder(lock) == str(later.lease_id)
        assert shown.conflicts == 1, "told of once"
        await shown.keep([lock])  # the store said whose it is
        assert await shown.holder(lock) == str(lock.lease_id)


async def test_release_of_a_lock_that_another_has_taken_is_told_of_and_leaves_it(shown: Shown) -> None:
    lock = a_lock()
    async with shown.shown():
        await shown.keep([lock])
        later = same_job(lock)
        await shown.bench.run_locks.take(an_incarnation(), [later])
        await shown.keep(released=[lock])
        assert (shown.conflicts, await shown.holder(lock)) == (1, str(later.lease_id))


async def test_locks_that_were_forgotten_are_set_again_with_the_next_sign(shown: Shown) -> None:
    lock = a_lock()
    async with shown.shown():
        await shown.keep([lock])
        await shown.bench.run_locks.release([lock])  # as a server does that comes back empty
        await shown.hear(WorkerState.ACTIVE)
        assert (await shown.holder(lock), shown.conflicts) == (str(lock.lease_id), 0)


async def test_takes_and_releases_that_were_not_heard_are_made_up_for(shown: Shown) -> None:
    before, meanwhile = a_lock(), a_lock()
    async with shown.shown():
        await shown.keep([before])
        shown.bench.faults.signs_lost = True
        await shown.keep([meanwhile], [before])
        shown.bench.faults.signs_lost = False
        assert await shown.holder(before) == str(before.lease_id)
        await shown.hear(WorkerState.ACTIVE)
        assert await shown.holder(before) is None
        assert await shown.holder(meanwhile) == str(meanwhile.lease_id)


async def test_releases_that_nobody_hears_are_not_kept_without_end(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness_mirror, "RELEASED_MAX", 2)
    locks = [a_lock() for _ in range(5)]
    async with shown.shown():
        await shown.keep(locks)
        shown.bench.faults.signs_lost = True
        await shown.keep(released=locks)
        shown.bench.faults.signs_lost = False
        await shown.hear(WorkerState.ACTIVE)
        left = [await shown.holder(lock) is not None for lock in locks]
        assert left == [True, True, True, False, False], "the oldest expire by themselves"


async def test_stop_ends_it_at_once(shown: Shown) -> None:
    async with shown.shown() as task:
        shown.liveness_mirror.stop()
        await shown.settle()
        assert task.done()
    assert shown.bench.clock.sleepers == 0


async def test_whose_locks_and_signs_these_are_is_told_with_each(bench: Bench) -> None:
    shown = Shown(bench, heard := Heard())
    me, lock = shown.incarnation, a_lock()
    async with shown.shown():
        await shown.keep([lock])
        await shown.hear(WorkerState.ACTIVE)
        await shown.keep(released=[lock])
    assert heard.calls == [
        ("beat", me, 0), ("take", me, 1), ("beat", me, 0), ("renew", me, 1), ("release", None, 1), ("forget", me, 0),
    ]  # fmt: skip


async def test_a_sign_that_was_not_noted_is_followed_by_nothing(bench: Bench) -> None:
    shown = Shown(bench, heard := Heard())
    kept, released = a_lock(), a_lock()
    async with shown.shown():
        heard.noted = False
        await shown.keep([kept, released], [])
        await shown.keep(released=[released])
        heard.calls.clear()
        await shown.hear(WorkerState.ACTIVE)
        assert heard.calls == [("beat", shown.incarnation, 0)]
        heard.noted = True
        heard.calls.clear()
        await shown.hear(WorkerState.ACTIVE)
        assert [what for what, _, _ in heard.calls] == ["beat", "renew", "release"]


async def test_who_was_never_there_need_not_be_forgotten(bench: Bench) -> None:
    shown = Shown(bench, heard := Heard())
    async with shown.shown(registered=False):
        await shown.hear(WorkerState.STALE)
    assert heard.calls == []


async def test_all_that_are_contested_are_counted(bench: Bench) -> None:
    shown = Shown(bench, heard := Heard())
    locks = [a_lock(), a_lock()]
    async with shown.shown():
        heard.contested = [Contested(lock, "somebody") for lock in locks]
        await shown.keep(locks)
    assert shown.conflicts == 2
    assert shown.contested == [lock.lease_id for lock in locks]


async def test_before_it_is_registered_it_waits_to_be_told(bench: Bench) -> None:
    looks = 0

    class Watched(Handover):
        def draw(self) -> tuple[list[RunLock], list[RunLock]]:
            nonlocal looks
            looks += 1
            return super().draw()

    shown = Shown(bench, handover=Watched())
    async with shown.shown(registered=False):
        await shown.settle()
        assert looks == 1
