"""The memory store: transactional, and able to fail."""

import asyncio

import pytest

from schedora.adapters.memory.faults import AFTER_COMMIT, BEFORE_COMMIT
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.system.randomness import SeededRandomness
from schedora.application.errors import StoreUnavailable
from tests.builders import a_job


@pytest.fixture
def store() -> MemoryStore:
    clock = VirtualClock()
    return MemoryStore(clock=clock, randomness=SeededRandomness(1, clock))


async def add(store: MemoryStore, *, error: Exception | None = None) -> None:
    async with store.transaction() as tables:
        job = a_job()
        tables.jobs[job.job_id] = job
        if error is not None:
            raise error


def kept(store: MemoryStore) -> int:
    with store.committed() as tables:
        assert len(store.index.ids) == len(tables.jobs) == len(list(store.index.ready))
        return len(tables.jobs)


async def test_clean_exit_keeps_what_was_changed(store: MemoryStore) -> None:
    await add(store)
    assert kept(store) == 1


async def test_exception_keeps_nothing(store: MemoryStore) -> None:
    with pytest.raises(LookupError):
        await add(store, error=LookupError())
    assert kept(store) == 0


@pytest.mark.parametrize(("point", "amount"), [(BEFORE_COMMIT, 0), (AFTER_COMMIT, 1)])
async def test_failing_commit_keeps_all_or_nothing_and_does_not_tell(
    store: MemoryStore, point: str, amount: int
) -> None:
    store.faults.fail(point)
    with pytest.raises(StoreUnavailable):
        await add(store)
    assert kept(store) == amount
    await add(store)
    assert kept(store) == amount + 1


async def test_readers_see_what_is_committed_and_never_wait(store: MemoryStore) -> None:
    async with store.transaction() as tables:
        job = a_job()
        tables.jobs[job.job_id] = job
        assert kept(store) == 0
    assert kept(store) == 1


async def test_transactions_come_one_after_the_other(store: MemoryStore) -> None:
    order: list[str] = []

    async def transact(name: str) -> None:
        async with store.transaction():
            order.append(name)
            await asyncio.sleep(0)
            order.append(name)

    await asyncio.gather(transact("a"), transact("b"))
    assert order == ["a", "a", "b", "b"]
