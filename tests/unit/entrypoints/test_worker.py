"""The worker as a service, in memory: its heartbeat's thread, and how it stops."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import pytest
from attrs import evolve
from structlog.testing import capture_logs

from schedora import JobContext, Schedora
from schedora.adapters.system.crash_recorder import CrashRecorder, KeptBox
from schedora.adapters.system.watched_process import ProcessEnd
from schedora.application.pipeline import runs, watchdog
from schedora.application.ports.run_locks import RunLock
from schedora.application.ports.workers import Workers
from schedora.domain.ids import JsonText
from schedora.domain.run_log import RunLog
from schedora.domain.worker import WorkerState
from schedora.entrypoints import worker as worker_service
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.replacement import ReplaceProcess
from schedora.entrypoints.settings import Settings
from schedora.entrypoints.system import System
from schedora.entrypoints.this_process import default_name
from schedora.entrypoints.worker import WorkerService
from tests.builders import a_lease_id, a_request


@pytest.fixture
async def system() -> AsyncIterator[System]:
    settings = Settings(_env_file=None, worker_heartbeat_interval=0.01, worker_shutdown_timeout=0)  # type: ignore[call-arg] # how pydantic takes it
    made = build_system(settings, database_url=None)
    await made.open()
    yield made
    await made.close()


def service(system: System) -> WorkerService:
    return WorkerService(system, Schedora().handlers, queues=(), concurrency=2, worker_id="w")


async def the_state_of(system: System) -> WorkerState:
    async with asyncio.timeout(30):
        while not (found := await system.workers.registered()):
            await asyncio.sleep(0.01)
    return found[0].status


async def test_stopped_it_drains_and_says_good_bye(system: System) -> None:
    worker = service(system)
    running = asyncio.create_task(worker.run())
    assert await the_state_of(system) is WorkerState.ACTIVE
    worker.stop()
    await running
    assert await the_state_of(system) is WorkerState.STOPPED


async def test_stopped_before_it_runs_it_takes_nothing(system: System) -> None:
    worker = service(system)
    worker.stop()
    await worker.run()


async def test_its_thread_shows_that_it_lives_and_what_it_runs(system: System) -> None:
    assert system.liveness_of_its_own is not None
    request = a_request(type="sleep", payload=JsonText('{"seconds":3600}'))
    [submission] = await system.submit_jobs([request])
    other = RunLock(submission.job.job_id, a_lease_id())
    worker = service(system)
    running = asyncio.create_task(worker.run())
    async with system.liveness_of_its_own() as (heartbeats, run_locks), asyncio.timeout(30):
        while not (held := await run_locks.release([other])):
            await asyncio.sleep(0.01)
        [registered] = await system.workers.registered()
        assert await heartbeats.alive([registered.incarnation]) == {registered.incarnation}
        await run_locks.take(registered.incarnation, [other])  # as another does that has the job, too
        while await run_locks.take(registered.incarnation, [other]) != held:
            await asyncio.sleep(0.01)  # the store is asked, and says whose it is: it is taken back
        worker.stop()
        await running
        assert await heartbeats.alive([registered.incarnation]) == frozenset()


async def test_a_heartbeat_that_ends_by_a_defect_stops_the_worker(system: System) -> None:
    class Broken(AbstractAsyncContextManager[Workers]):
        async def __aenter__(self) -> Workers:
            raise ZeroDivisionError

        async def __aexit__(self, *_: object) -> None:
            return None

    with capture_logs() as logs:
        await service(evolve(system, workers_of_its_own=Broken)).run()
    assert "the heartbeat ended: the worker stops" in [entry["event"] for entry in logs]


async def test_run_logs_that_a_store_does_not_take_are_not_waited_for(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = asyncio.Event()

    async def hang(_: object, run_logs: Sequence[RunLog]) -> None:
        assert run_logs
        hanging.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(type(system.run_logs), "keep", hang)
    monkeypatch.setattr(worker_service, "RUN_LOGS_SECONDS", 0.01)
    app = Schedora()

    @app.job("tell")
    async def tell(ctx: JobContext) -> None:
        ctx.log.info("something")

    worker = WorkerService(system, app.handlers, queues=(), concurrency=2, worker_id="w")
    running = asyncio.create_task(worker.run())
    await system.submit_jobs([a_request(type="tell", payload=JsonText("{}"))])
    async with asyncio.timeout(30):
        await hanging.wait()
        worker.stop()
        with capture_logs() as lines:
            await running
    assert [line["run_logs"] for line in lines if line["event"].endswith("lost")] == [1]


def test_a_worker_is_called_by_host_and_pid_unless_it_is_named() -> None:
    assert default_name().rpartition("-")[2].isdigit()


async def test_what_blocks_its_loop_ends_it_and_the_store_knows_why(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = timedelta(milliseconds=10)
    for name in ("LOOK_EVERY", "TELL_AFTER", "GRACE"):
        monkeypatch.setattr(watchdog, name, moment)
    ended = threading.Event()
    kept = KeptBox()
    app = Schedora()

    @app.job("blocks")
    async def blocks(ctx: JobContext) -> None:
        ctx.log.info("never again")
        assert ended.wait(30)  # here

    worker = WorkerService(
        system, app.handlers, queues=(), concurrency=2, worker_id="w", crash_recorder=CrashRecorder(kept.descriptor),
        replace=ended.set,  # type: ignore[arg-type] # this process goes on
    )  # fmt: skip
    running = asyncio.create_task(worker.run())
    request = a_request(type="blocks", payload=JsonText("{}"), timeout=moment)
    [submission] = await system.submit_jobs([request])
    async with asyncio.timeout(30):
        while not ended.is_set():
            await asyncio.sleep(0.01)
    [registered] = await system.workers.registered()
    deaths = await system.workers.deaths([registered.incarnation])
    worker.stop()
    await running
    death = deaths[registered.incarnation]
    assert death.how.startswith("blocked its event loop for ")
    assert "assert ended.wait(30)  # here" in (death.stack or "")
    [line] = death.lines[submission.job.job_id]
    assert line.endswith("info never again logger=schedora.handler")
    noted = kept.read(ProcessEnd(returncode=0, peak_bytes=1))
    assert noted is not None
    assert (noted[0], noted[1].lines) == (registered.incarnation, death.lines)
    kept.close()


async def test_needs_restart_it_ends_for_a_fresh_process(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "GRACE", timedelta(milliseconds=1))
    released = threading.Event()
    app = Schedora()

    @app.job("sits")
    def sits() -> None:
        released.wait(30)

    worker = WorkerService(
        system, app.handlers, queues=(), concurrency=1, worker_id="w", replace=released.set,  # type: ignore[arg-type] # as above
    )  # fmt: skip
    timeout = timedelta(milliseconds=10)
    await system.submit_jobs([a_request(type="sits", payload=JsonText("{}"), timeout=timeout)])
    async with asyncio.timeout(30):
        with pytest.raises(ReplaceProcess):
            await worker.run()
    assert not released.is_set(), "whoever runs it does that, once all others have ended"
    released.set()
