"""The time of this machine."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from schedora.adapters.system.clock import SystemClock

SOON = timedelta(milliseconds=1)
LATE = timedelta(seconds=60)


def test_present_is_told_with_its_zone() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert before <= now <= datetime.now(UTC)
    assert now.utcoffset() == timedelta(0)


async def test_spans_are_measured_apart_from_the_date() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(SOON)
    assert clock.monotonic() - before >= SOON


async def test_wait_ends_with_the_event() -> None:
    clock, event = SystemClock(), asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    assert await clock.wait(event, LATE) is True
    assert await clock.wait(event, None) is True


async def test_wait_ends_with_its_time() -> None:
    assert await SystemClock().wait(asyncio.Event(), SOON) is False


@pytest.mark.parametrize("span", [timedelta(0), -SOON])
async def test_wait_without_time_only_looks(span: timedelta) -> None:
    event = asyncio.Event()
    assert await SystemClock().wait(event, span) is False
    event.set()
    assert await SystemClock().wait(event, span) is True


async def test_canceled_wait_is_canceled() -> None:
    task = asyncio.create_task(SystemClock().wait(asyncio.Event(), LATE))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
