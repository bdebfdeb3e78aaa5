import asyncio
from collections.abc import AsyncIterator

import pytest

from schedora.adapters.system import loop_lag
from schedora.adapters.system.loop_lag import TICK_SECONDS, WINDOW_SECONDS, LoopLag


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(loop_lag, "time", time)
    return time


@pytest.fixture
async def lag(time: Time) -> LoopLag:
    return LoopLag()


@pytest.fixture(autouse=True)
async def stopped(lag: LoopLag) -> AsyncIterator[None]:
    yield
    lag.stop()


def ticks(lag: LoopLag, time: Time, late_seconds: float) -> None:
    """The timer rings so much later than it should."""
    time.now += TICK_SECONDS + late_seconds
    lag.stop()
    lag._tick()


async def test_nothing_is_late_before_it_began(lag: LoopLag) -> None:
    assert lag.longest_seconds() == 0


async def test_the_longest_of_the_last_while_is_told(lag: LoopLag, time: Time) -> None:
    lag.start()
    for late in (0.5, 2.0, 0.0):
        ticks(lag, time, late)
    assert lag.longest_seconds() == pytest.approx(2.0)
    time.now -= 1.0  # a timer that rings too early is not late
    assert lag.longest_seconds() == pytest.approx(2.0)


async def test_what_was_long_ago_is_forgotten(lag: LoopLag, time: Time) -> None:
    lag.start()
    ticks(lag, time, 3.0)
    for _ in range(int(WINDOW_SECONDS / TICK_SECONDS) + 1):
        ticks(lag, time, 0.0)
    assert lag.longest_seconds() == 0


async def test_a_tick_that_is_overdue_counts_already(lag: LoopLag, time: Time) -> None:
    lag.start()
    time.now += TICK_SECONDS + 1.5
    assert lag.longest_seconds() == pytest.approx(1.5)


async def test_it_goes_on_by_itself_until_it_is_stopped() -> None:
    lag = LoopLag()
    lag._loop = loop = asyncio.get_running_loop()
    notified = asyncio.Event()
    tick = lag._tick

    def noted() -> None:
        tick()
        notified.set()

    lag._tick = noted  # type: ignore[method-assign] # to be told
    lag.start()
    await notified.wait()
    notified.clear()
    await notified.wait()
    lag.stop()
    assert lag._timer is not None
    assert lag._timer.cancelled()
    assert loop.time() > 0
