"""Failures on demand."""

import pytest

from schedora.adapters.memory.faults import AFTER_COMMIT, BEFORE_COMMIT, BEGIN, Faults, fallible
from schedora.application.errors import StoreUnavailable


class Adapter:
    def __init__(self) -> None:
        self.faults = Faults()
        self.calls = 0

    @fallible
    async def work(self, amount: int) -> int:
        """What it does."""
        self.calls += amount
        return self.calls


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


@pytest.mark.parametrize("point", [BEFORE_COMMIT, AFTER_COMMIT, BEGIN, "job_queue.exchange", POINT])
def test_points_are_known(point: str) -> None:
    Faults().fail(point)


def test_unknown_point_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"no such point: 'job_queue\.exchnage'; there are .*job_queue\.exchange"
    ):
        Faults().fail("job_queue.exchnage")


def test_passes_count_from_one() -> None:
    with pytest.raises(ValueError, match="nth counts from 1, not 0"):
        Faults().fail(BEGIN, nth=0)


def test_method_keeps_its_name_and_what_it_says() -> None:
    assert (Adapter.work.__name__, Adapter.work.__doc__) == ("work", "What it does.")
