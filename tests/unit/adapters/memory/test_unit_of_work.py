"""Units of work in memory, and joining them."""

import pytest

from schedora.application.errors import StoreUnavailable
from tests.builders import a_new_job
from tests.contract.memory import a_memory_store, memory_stores


async def test_joined_unit_is_part_of_the_one_it_joins() -> None:
    stores = memory_stores(a_memory_store())
    new = a_new_job()
    async with stores.abandoned_unit() as unit, stores.units.join(unit) as joined:
        await joined.jobs.add([new])
        assert await unit.jobs.lock([new.job_id])
    assert await stores.job_reader.get(new.job_id) is None


async def test_unit_that_has_ended_can_not_be_joined() -> None:
    stores = memory_stores(a_memory_store())
    async with stores.units.begin() as unit:
        pass
    with pytest.raises(StoreUnavailable, match="has ended"):
        async with stores.units.join(unit):
            raise AssertionError("joined what has ended")


async def test_stranger_is_named() -> None:
    stores = memory_stores(a_memory_store())
    with pytest.raises(TypeError, match="no transaction on a int"):
        async with stores.units.join(7):
            raise AssertionError("joined what can't be joined")


async def test_hint_leaves_with_the_commit_or_never() -> None:
    store = a_memory_store()
    stores = memory_stores(store)
    hints: list[object] = []
    store.subscribers.append(hints.append)
    async with stores.abandoned_unit() as unit, stores.units.join(unit) as joined:
        await joined.notify(queues=["a"])
    assert hints == []
    async with stores.units.begin() as unit, stores.units.join(unit) as joined:
        await joined.notify(queues=["a"])
        await joined.notify(queues=["b"])
        assert hints == []
    assert [getattr(hint, "queues", None) for hint in hints] == [{"a", "b"}]


@pytest.mark.parametrize("point", ["unit_of_work.begin", "before commit", "jobs.add"])
async def test_unit_that_fails_leaves_nothing(point: str) -> None:
    store = a_memory_store()
    stores = memory_stores(store)
    store.faults.fail(point)
    new = a_new_job()
    with pytest.raises(StoreUnavailable):
        await stores.add(new)
    assert await stores.job_reader.get(new.job_id) is None


async def test_all_of_a_unit_happens_at_one_instant_and_what_joins_it_happens_later() -> None:
    stores = memory_stores(a_memory_store())  # its clock moves on at each look
    async with stores.units.begin() as unit:
        first, second = (submission.job for submission in await unit.jobs.add([a_new_job(), a_new_job()]))
        assert first.created_at == second.created_at == await unit.now()
        async with stores.units.join(unit) as joined:
            [third] = (submission.job for submission in await joined.jobs.add([a_new_job()]))
            assert third.created_at == await joined.now() > first.created_at
        with pytest.raises(StoreUnavailable, match="has ended"):
            async with stores.units.join(joined):
                raise AssertionError("joined what has ended")
