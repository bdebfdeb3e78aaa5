"""Failures on demand."""

import pytest

from schedora.adapters.memory.faults import AFTER_COMMIT, BEFORE_COMMIT, BEGIN, Faults, fallible
from schedora.adapters.memory.job_queue import MemoryJobQueue
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.unit_of_work import MemoryUnitOfWorkFactory
from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.system.randomness import SeededRandomness
from schedora.application.errors import StoreUnavailable
from tests.builders import a_new_job


class Adapter:
    def __init__(self) -> None:
        self.faults = Faults()
        self.calls = 0

    @fallible
    async def work(self, amount: int) -> int:
        """What it does."""
        self.calls += amount
        return self.calls


SYNC = f"job_queue.{MemoryJobQueue.sync.__name__}"  # known once its module is loaded
POINT = f"{__name__.rpartition('.')[2]}.work"


async def test_call_fails_as_planned_and_only_then() -> None:
    adapter = Adapter()
    adapter.faults.fail(POINT, nth=2)
    assert await adapter.work(1) == 1
    with pytest.raises(StoreUnavailable, match=f"fails on demand: {POINT}"):
        await adapter.work(1)
    assert adapter.calls == 1, "nothing was done"
    assert await adapter.work(1) == 2


async def test_passes_are_counted_from_the_wish_on() -> None:
    adapter = Adapter()
    await adapter.work(1)
    adapter.faults.fail(POINT)
    with pytest.raises(StoreUnavailable):
        await adapter.work(1)


async def test_several_failures_may_be_planned() -> None:
    adapter = Adapter()
    adapter.faults.fail(POINT, nth=1)
    adapter.faults.fail(POINT, nth=3)
    outcomes = []
    for _ in range(4):
        try:
            outcomes.append(await adapter.work(1) > 0)
        except StoreUnavailable:
            outcomes.append(False)
    assert outcomes == [False, True, False, True]


async def test_while_the_store_is_away_every_call_fails() -> None:
    adapter = Adapter()
    adapter.faults.away = True
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await adapter.work(1)
    adapter.faults.away = False
    assert await adapter.work(1) == 1


class Wire:
    """A line that notes who is on the way, and may break on the way back."""

    def __init__(self) -> None:
        self.passed: list[tuple[str, str]] = []
        self.broken = False

    async def there(self, point: str) -> None:
        self.passed.append(("there", point))

    async def back(self, point: str) -> None:
        self.passed.append(("back", point))
        if self.broken:
            raise StoreUnavailable("no answer")


async def test_calls_go_over_the_line_there_and_back() -> None:
    adapter = Adapter()
    adapter.faults.line = wire = Wire()
    assert await adapter.work(1) == 1
    assert wire.passed == [("there", POINT), ("back", POINT)]
    wire.broken = True
    with pytest.raises(StoreUnavailable, match="no answer"):
        await adapter.work(1)
    assert adapter.calls == 2, "it was done all the same"


async def test_units_of_work_go_over_the_line_as_a_whole() -> None:
    clock = VirtualClock()
    store = MemoryStore(clock=clock, randomness=SeededRandomness(0, clock))
    store.faults.line = wire = Wire()
    async with MemoryUnitOfWorkFactory(store).begin() as unit:
        await unit.jobs.add([a_new_job()])
        assert wire.passed == [("there", BEGIN), ("there", "jobs.add"), ("back", "jobs.add")]
    assert wire.passed[-1] == ("back", BEGIN)


@pytest.mark.parametrize("point", [BEFORE_COMMIT, AFTER_COMMIT, BEGIN, SYNC, POINT])
def test_points_are_known(point: str) -> None:
    Faults().fail(point)


def test_unknown_point_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"no such point: 'job_queue\.exchnage'; there are .*job_queue\.sync"
    ):
        Faults().fail("job_queue.exchnage")


def test_passes_count_from_one() -> None:
    with pytest.raises(ValueError, match="nth counts from 1, not 0"):
        Faults().fail(BEGIN, nth=0)


def test_method_keeps_its_name_and_what_it_says() -> None:
    assert (Adapter.work.__name__, Adapter.work.__doc__) == ("work", "What it does.")
