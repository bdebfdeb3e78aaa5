"""The next is made ready while the last is under way."""

import asyncio
from collections.abc import Iterator

import pytest

from schedora.application.overlap import overlapped


async def test_steps_run_one_after_the_other_each_made_while_the_one_before_runs() -> None:
    told: list[str] = []
    running = 0

    def steps() -> Iterator[int]:
        for number in range(3):
            told.append(f"made {number}")
            yield number

    async def run(number: int) -> int:
        nonlocal running
        running += 1
        assert running == 1
        told.append(f"begun {number}")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        told.append(f"done {number}")
        running -= 1
        return number * 10

    assert await overlapped(steps(), run) == [0, 10, 20]
    assert told == [
        "made 0", "begun 0", "made 1", "done 0", "begun 1", "made 2", "done 1", "begun 2", "done 2",
    ]  # fmt: skip


async def test_nothing_to_do_has_no_results() -> None:
    async def run(_: int) -> int:
        raise AssertionError("there is nothing to run")

    assert await overlapped([], run) == []


async def test_what_fails_ends_it() -> None:
    run_for: list[int] = []

    async def run(number: int) -> None:
        run_for.append(number)
        await asyncio.sleep(0)
        if number == 1:
            raise LookupError("the second")

    with pytest.raises(LookupError, match="the second"):
        await overlapped(range(5), run)
    assert run_for == [0, 1]


async def test_a_step_that_can_not_be_made_ends_what_is_under_way_first() -> None:
    ended = asyncio.Event()

    async def run(_: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    def steps() -> Iterator[int]:
        yield 1
        raise LookupError("no second")

    with pytest.raises(LookupError, match="no second"):
        await overlapped(steps(), run)
    assert ended.is_set()


async def test_canceling_it_cancels_what_is_under_way() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def run(_: int) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(overlapped([1, 2], run))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert ended.is_set()
