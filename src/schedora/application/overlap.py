"""Make the next ready while the last is under way."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def overlapped(steps: Iterable[T], run: Callable[[T], Coroutine[Any, Any, R]]) -> list[R]:
    """The results of running each step, one after the other; the next one is made while one runs.

    Raises what making or running a step raises, once nothing runs any more.
    """
    results: list[R] = []
    running: asyncio.Task[R] | None = None
    try:
        for step in steps:
            if running is not None:
                results.append(await running)
            running = asyncio.create_task(run(step))
            await asyncio.sleep(0)  # lets it begin
        if running is not None:
            results.append(await running)
    except BaseException:
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        raise
    return results
