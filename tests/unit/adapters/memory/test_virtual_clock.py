"""Time that moves only when it is told to."""

import asyncio
import threading
from datetime import timedelta

import pytest

from schedora.adapters.memory.virtual_clock import BEGINNING, VirtualClock
from tests.builders import HOUR, NOON, SECOND


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_time_stands_still_until_it_is_moved(clock: VirtualClock) -> None:
    assert (clock.now(), clock.monotonic()) == (BEGINNING, timedelta(0))
    clock.advance(HOUR)
    assert (clock.now(), clock.monotonic()) == (BEGINNING + HOUR, HOUR)
    assert VirtualClock(NOON).now() == NOON


def test_time_does_not_run_backwards(clock: VirtualClock) -> None:
    with pytest.raises(ValueError, match="time can't run backwards"):
        clock.advance(-SECOND)
    clock.advance(timedelta(0))
    assert clock.monotonic() == timedelta(0)


async def test_sleepers_wake_when_their_time_has_come_in_order(clock: VirtualClock) -> None:
    woken: list[int] = []

    async def sleep(seconds: int) -> None:
        await clock.sleep(seconds * SECOND)
        woken.append(seconds)

    tasks = [asyncio.create_task(sleep(seconds)) for seconds in (3, 1, 2, 2)]
    await settle()
    assert (clock.sleepers, clock.next_wait) == (4, BEGINNING + SECOND)
    clock.advance(SECOND - timedelta(microseconds=1))
    await settle()
    assert woken == []
    clock.advance(HOUR)
    await asyncio.gather(*tasks)
    assert woken == [1, 2, 2, 3]
    assert (clock.sleepers, clock.next_wait) == (0, None)


async def test_no_sleep_at_all_only_lets_others_run(clock: VirtualClock) -> None:
    for span in (timedelta(0), -SECOND):
        await clock.sleep(span)
    assert clock.sleepers == 0


async def test_time_may_jump_to_the_next_deadline(clock: VirtualClock) -> None:
    assert not clock.advance_to_next_wait()
    task = asyncio.create_task(clock.sleep(HOUR))
    await settle()
    assert clock.advance_to_next_wait()
    await task
    assert clock.monotonic() == HOUR


async def test_wait_ends_with_the_event_or_with_its_time(clock: VirtualClock) -> None:
    event = asyncio.Event()
    first = asyncio.create_task(clock.wait(event, SECOND))
    await settle()
    clock.advance(SECOND)
    assert await first is False
    second = asyncio.create_task(clock.wait(event, SECOND))
    await settle()
    event.set()
    assert await second is True
    assert clock.sleepers == 0


async def test_event_and_deadline_at_one_moment_count_as_the_event(clock: VirtualClock) -> None:
    event = asyncio.Event()
    task = asyncio.create_task(clock.wait(event, SECOND))
    await settle()
    event.set()
    clock.advance(SECOND)
    assert await task is True


@pytest.mark.parametrize("happened", [True, False])
async def test_wait_without_time_only_looks(clock: VirtualClock, happened: bool) -> None:
    event = asyncio.Event()
    if happened:
        event.set()
    assert await clock.wait(event, timedelta(0)) is happened
    assert await clock.wait(event, -SECOND) is happened
    assert clock.sleepers == 0


async def test_wait_without_end_ends_with_the_event(clock: VirtualClock) -> None:
    event = asyncio.Event()
    task = asyncio.create_task(clock.wait(event, None))
    await settle()
    clock.advance(1000 * HOUR)
    await settle()
    assert not task.done()
    event.set()
    assert await task is True


async def test_canceled_sleeper_is_forgotten(clock: VirtualClock) -> None:
    event = asyncio.Event()
    tasks = [asyncio.create_task(clock.sleep(HOUR)), asyncio.create_task(clock.wait(event, SECOND))]
    await settle()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (clock.sleepers, clock.next_wait) == (0, None)


async def test_sleeper_canceled_at_the_moment_of_waking_harms_nobody(clock: VirtualClock) -> None:
    gone, stays = asyncio.create_task(clock.sleep(SECOND)), asyncio.create_task(clock.sleep(2 * SECOND))
    await settle()
    clock.advance(SECOND)
    gone.cancel()
    await settle()
    assert gone.cancelled()
    assert clock.sleepers == 1
    clock.advance(SECOND)
    await stays


def test_sleepers_of_other_loops_are_woken_too(clock: VirtualClock) -> None:
    asleep, awake = threading.Event(), threading.Event()

    async def sleep() -> None:
        task = asyncio.create_task(clock.sleep(HOUR))
        await settle()
        asleep.set()
        await task
        awake.set()

    thread = threading.Thread(target=lambda: asyncio.run(sleep()))
    thread.start()
    assert asleep.wait(30)
    clock.advance(HOUR)
    assert awake.wait(30)
    thread.join(30)
