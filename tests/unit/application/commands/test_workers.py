"""What workers say of themselves, and what operators ask of them."""

import pytest

from schedora.application.errors import Conflict, NotFound, WorkerDeclaredLost
from schedora.domain.ids import WorkerId
from schedora.domain.worker import LIVE, WorkerState
from tests.builders import HOUR, an_identity
from tests.unit.application.bench import Bench

W1 = WorkerId("w1")


async def test_new_worker_is_active(bench: Bench) -> None:
    worker = await bench.register_worker(an_identity())
    assert (worker.status, worker.last_heartbeat) == (WorkerState.ACTIVE, bench.clock.now())
    assert await bench.stores.workers.registered() == [worker]


@pytest.mark.parametrize("status", WorkerState)
async def test_registering_again_renews_the_living_and_follows_the_lost(
    bench: Bench, status: WorkerState
) -> None:
    first = await bench.register_worker(an_identity())
    await bench.stores.workers.set_status([first.incarnation], status)
    bench.clock.advance(HOUR)
    again = await bench.register_worker(an_identity(version="2"))
    assert (again.status, again.identity.version) == (WorkerState.ACTIVE, "2")
    assert again.last_heartbeat == bench.clock.now()
    assert (again.incarnation == first.incarnation) is (status in LIVE)


@pytest.mark.parametrize("status", WorkerState)
async def test_beat_is_taken_from_the_living(bench: Bench, status: WorkerState) -> None:
    worker = await bench.register_worker(an_identity())
    await bench.stores.workers.set_status([worker.incarnation], status)
    bench.clock.advance(HOUR)
    if status not in LIVE:
        with pytest.raises(WorkerDeclaredLost, match=f"worker w1 is {status}: .*; register again"):
            await bench.beat_worker(W1, cpu_percent=1.5, memory_percent=2.5)
        return
    await bench.beat_worker(W1, cpu_percent=1.5, memory_percent=2.5)
    [seen] = await bench.stores.workers.named(W1)
    assert (seen.cpu_percent, seen.memory_percent) == (1.5, 2.5)
    assert seen.last_heartbeat == bench.clock.now()


async def test_beat_of_a_worker_forgotten_meanwhile_asks_it_to_register(bench: Bench) -> None:
    await bench.register_worker(an_identity())

    class Forgetful(type(bench.stores.workers)):  # type: ignore[misc]  # the adapter at hand, whichever it is
        async def beat(self, *_: object, **__: object) -> None:
            return None

    workers = Forgetful(bench.store)
    with pytest.raises(WorkerDeclaredLost, match="worker w1 is forgotten"):
        await type(bench.beat_worker)(workers=workers)(W1, cpu_percent=None, memory_percent=None)


async def test_unknown_worker_is_not_found(bench: Bench) -> None:
    with pytest.raises(NotFound, match="there is no worker w1"):
        await bench.beat_worker(W1, cpu_percent=None, memory_percent=None)
    with pytest.raises(NotFound, match="there is no worker w1"):
        await bench.drain_worker(W1)


@pytest.mark.parametrize("status", WorkerState)
async def test_living_worker_is_drained_and_told_so(bench: Bench, status: WorkerState) -> None:
    worker = await bench.register_worker(an_identity())
    await bench.stores.workers.set_status([worker.incarnation], status)
    if status not in LIVE:
        with pytest.raises(Conflict, match=f"worker w1 is {status} and can't be drained"):
            await bench.drain_worker(W1)
        assert bench.hints == []
        return
    drained = await bench.drain_worker(W1)
    assert drained.status is WorkerState.DRAINING
    assert await bench.stores.workers.named(W1) == [drained]
    assert [hint.owners for hint in bench.hints] == [{worker.incarnation}]


async def test_name_stands_for_the_newest_incarnation(bench: Bench) -> None:
    old = await bench.register_worker(an_identity())
    await bench.stores.workers.set_status([old.incarnation], WorkerState.STALE)
    bench.clock.advance(HOUR)
    new = await bench.register_worker(an_identity())
    assert (await bench.drain_worker(W1)).incarnation == new.incarnation
    states = {one.incarnation: one.status for one in await bench.stores.workers.named(W1)}
    assert states == {old.incarnation: WorkerState.STALE, new.incarnation: WorkerState.DRAINING}
