"""What one request starts for all belongs to none."""

import asyncio
from contextvars import Context, copy_context
from datetime import timedelta
from typing import Any

import pytest

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.system.randomness import SeededRandomness
from schedora.application.request_scope import current_request
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.sdk.app import Schedora
from schedora.entrypoints.settings import load_settings
from schedora.entrypoints.system import System
from tests.builders import a_job_id, a_request


@pytest.fixture
def system() -> System:
    clock = VirtualClock()
    return build_system(
        load_settings(), database_url=None, clock=clock, randomness=SeededRandomness(1, clock)
    )


async def test_tasks_that_go_on_after_a_request_do_not_carry_it(system: System) -> None:
    await system.open()
    started: list[tuple[asyncio.Task[Any], object]] = []

    def start(loop: Any, work: Any, context: Context | None = None) -> "asyncio.Task[Any]":
        task = asyncio.Task(work, loop=loop, context=context)
        started.append((task, (copy_context() if context is None else context).run(current_request.get)))
        return task

    asyncio.get_running_loop().set_task_factory(start)
    current_request.set(object())  # type: ignore[arg-type] # any will do
    [job] = await system.submit_jobs([a_request()])
    waits = asyncio.create_task(system.endings.wait(job.job_id, timedelta(hours=1)))
    standing = (await system.jobs.status_summaries([job.job_id]))[job.job_id]
    with system.job_watch.watch(job.job_id, standing, asyncio.Event()):
        await asyncio.sleep(0)
    carried = {
        task.get_name(): request for task, request in started if task.get_name().startswith("schedora-")
    }
    assert carried == {"schedora-endings": None, "schedora-watch": None, "schedora-event-feed": None}
    waits.cancel()
    await system.end_queries()
    await system.close()


async def test_nor_does_a_system_that_a_request_opens(system: System) -> None:
    seen: list[Any] = []

    def connect(_: object) -> Any:
        seen.append(current_request.get())
        raise LookupError("enough")

    app = Schedora(connect=connect)
    current_request.set(object())  # type: ignore[arg-type] # any will do
    with pytest.raises(LookupError):
        await app.get_job(a_job_id())
    assert seen == [None]
