"""Deadlines: kept, put off, cut, and not held against a server when the loop itself was late."""

import asyncio

import pytest

from schedora.adapters.redis.deadline import Deadline

LONG_SECONDS = 3_600.0


class Late:
    """The loop's clock, put forward while nothing else could be done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        time = loop.time
        self.seconds = 0.0
        monkeypatch.setattr(loop, "time", lambda: time() + self.seconds)

    async def by(self, seconds: float) -> None:
        self.seconds += seconds
        for _ in range(3):  # its timers come, and then what they have made due
            await asyncio.sleep(0)


@pytest.fixture
async def late(monkeypatch: pytest.MonkeyPatch) -> Late:
    return Late(monkeypatch)


async def test_it_ends_what_takes_longer() -> None:
    with pytest.raises(TimeoutError):
        async with Deadline(0.01):
            await asyncio.Event().wait()


async def test_what_is_done_in_time_is_done() -> None:
    async with Deadline(LONG_SECONDS):
        await asyncio.sleep(0)


async def test_it_ends_at_once_when_it_is_cut_and_is_put_off_no_more() -> None:
    async def cut() -> None:
        async with Deadline(LONG_SECONDS) as deadline:
            deadline.cut()
            deadline.cut()
            with pytest.raises(TimeoutError):
                deadline.put_off(LONG_SECONDS)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await cut()


async def test_one_that_is_put_off_comes_later(late: Late) -> None:
    async with Deadline(10) as deadline:
        await late.by(6)
        deadline.put_off(10)
        await late.by(6)


@pytest.mark.parametrize(("late_by", "granted"), [(4.0, 4.0), (1_000.0, 10.0)])
async def test_a_loop_that_is_late_puts_it_off_once(late: Late, late_by: float, granted: float) -> None:
    over = []

    async def waiting() -> None:
        async with Deadline(10) as deadline:
            for span in (10 + late_by, 0.9 * granted, 0.2 * granted):
                await late.by(span)
                over.append(deadline._over)

    with pytest.raises(TimeoutError):
        await waiting()
    assert over == [False, False], "it came at the third"


async def test_a_cancellation_is_one_all_the_same() -> None:
    async def waiting() -> None:
        async with Deadline(LONG_SECONDS):
            await asyncio.Event().wait()

    task = asyncio.create_task(waiting())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
