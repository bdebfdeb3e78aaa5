"""The worker as a service: the pipeline with its own connection, its heartbeat on a thread of its own."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import TypeVarTuple

from structlog.contextvars import bind_contextvars

import schedora
from schedora.adapters.system.child_command import CHILD_COMMAND, MEMORY
from schedora.adapters.system.processes import ChildProcesses
from schedora.adapters.system.vitals import ProcessVitals
from schedora.adapters.telemetry.kept_lines import keeping_lines
from schedora.adapters.telemetry.run_spans import HandlerSpans
from schedora.application.handlers import Handlers
from schedora.application.log import Logger
from schedora.application.pipeline.execute import Execute
from schedora.application.pipeline.heartbeat import Heartbeat
from schedora.application.pipeline.journal import Journal
from schedora.application.pipeline.presence import Presence
from schedora.application.pipeline.run_locks import Handover
from schedora.application.pipeline.trail_keeper import TrailKeeper
from schedora.application.pipeline.worker import Worker, WorkerLimits
from schedora.application.ports.job_queue import JobQueue
from schedora.application.ports.run_locks import RunLock
from schedora.domain.ids import IncarnationId, JsonText, LeaseId, WorkerId
from schedora.domain.redaction import redaction_of
from schedora.domain.worker import WorkerIdentity, WorkerState
from schedora.entrypoints.container.settings import Settings
from schedora.entrypoints.system import System

TRAILS_SECONDS = 3.0
"""How long the last trails may take to be written: a store that hangs is not waited for."""

log = Logger("schedora.worker")

Told = TypeVarTuple("Told")
OnStatus = Callable[[IncarnationId, WorkerState | None], None]
OnContested = Callable[[Collection[LeaseId]], None]


class HeartbeatThread:
    """The heartbeat, and what else a worker shows of itself, for its loop to talk to. Daemon: it never keeps a process
    alive.

    ``on_death`` is called should it end by a defect: without signs of life a worker must not go on.
    """

    def __init__(
        self,
        system: System,
        *,
        worker_id: WorkerId,
        on_status: OnStatus,
        on_contested: OnContested,
        on_death: Callable[[], None],
    ) -> None:
        self._system = system
        self._worker_id = worker_id
        self._interval = timedelta(seconds=system.settings.worker_heartbeat_interval)
        self._on_status = on_status
        self._on_contested = on_contested
        self._on_death = on_death
        self._main_loop = asyncio.get_running_loop()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heartbeat: Heartbeat | None = None
        self._presence: Presence | None = None
        self._handover = Handover()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="schedora-heartbeat", daemon=True)

    async def start(self) -> None:
        self._thread.start()
        await asyncio.to_thread(self._ready.wait)  # a Redis that is away takes a moment to be known as such

    def beat_for(self, incarnation: IncarnationId) -> None:
        if self._heartbeat is not None:
            self._call(self._heartbeat.beat_for, incarnation)

    def ask(self) -> None:
        if self._heartbeat is not None:
            self._call(self._heartbeat.ask)

    def keep(self, taken: Sequence[RunLock], released: Sequence[RunLock]) -> None:
        if self._handover.put(taken, released) and self._presence is not None:
            self._call(self._presence.wake)

    async def stop(self) -> None:
        if self._heartbeat is not None:
            self._call(self._heartbeat.stop)
        await asyncio.to_thread(self._thread.join, 5)

    def _call(self, tell: Callable[[*Told], None], *told: *Told) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the thread has ended, and its loop with it
                self._loop.call_soon_threadsafe(tell, *told)

    def _main(self) -> None:
        bind_contextvars(worker_id=self._worker_id)
        try:
            asyncio.run(self._beat())
        except Exception:
            log.exception("the heartbeat ended: the worker stops")
            self._tell(self._on_death)
        finally:
            self._ready.set()

    async def _beat(self) -> None:
        async with AsyncExitStack() as stack:
            self._heartbeat = Heartbeat(
                workers=await stack.enter_async_context(self._system.workers_of_its_own()),
                clock=self._system.clock,
                interval=self._interval,
                vitals=ProcessVitals(),
                on_status=self._heard,
            )
            self._presence = await self._shown(stack)
            self._loop = asyncio.get_running_loop()
            self._ready.set()
            async with asyncio.TaskGroup() as tasks:
                if self._presence is not None:
                    tasks.create_task(self._presence.run())
                await self._heartbeat.run()
                if self._presence is not None:
                    self._presence.stop()

    async def _shown(self, stack: AsyncExitStack) -> Presence | None:
        if self._system.presence_of_its_own is None:
            return None
        heartbeats, run_locks = await stack.enter_async_context(self._system.presence_of_its_own())
        return Presence(
            worker_id=self._worker_id,
            heartbeats=heartbeats,
            run_locks=run_locks,
            handover=self._handover,
            clock=self._system.clock,
            metrics=self._system.metrics,
            interval=self._interval,
            on_contested=lambda leases: self._tell(self._on_contested, leases),
        )

    def _heard(self, incarnation: IncarnationId, status: WorkerState | None) -> None:
        if self._presence is not None:
            self._presence.heard(incarnation, status)
        self._tell(self._on_status, incarnation, status)

    def _tell(self, listener: Callable[[*Told], None], *told: *Told) -> None:
        with suppress(RuntimeError):  # the worker's loop has ended
            self._main_loop.call_soon_threadsafe(listener, *told)


class WorkerService:
    """One worker of this process. ``stop`` drains it."""

    name = "worker"

    def __init__(
        self, system: System, handlers: Handlers, *, queues: tuple[str, ...], concurrency: int, worker_id: str
    ) -> None:
        self._system = system
        self._handlers = handlers
        self._identity = WorkerIdentity(
            worker_id=WorkerId(worker_id),
            hostname=socket.gethostname()[:255],
            pid=os.getpid(),
            version=schedora.__version__,
            max_concurrent_jobs=concurrency,
            queues=queues,
            types=tuple(handlers),
        )
        export = system.span_export
        self._handler_spans = HandlerSpans(None if export is None else export.put_span)
        self._worker: Worker | None = None
        self._stopped = False

    async def run(self) -> None:
        bind_contextvars(worker_id=self._identity.worker_id)
        settings = self._system.settings
        with keeping_lines(settings.job_log_level, redaction_of(settings.log_redact)):
            await self._run()

    async def _run(self) -> None:
        threads = ThreadPoolExecutor(
            self._identity.max_concurrent_jobs, thread_name_prefix="schedora-handler"
        )
        processes = _children(self._system.settings, idle_max=self._identity.max_concurrent_jobs)
        pulse = HeartbeatThread(
            self._system,
            worker_id=self._identity.worker_id,
            on_status=self._heard,
            on_contested=self._contested,
            on_death=self.stop,
        )
        await pulse.start()
        try:
            async with self._system.queue_of_its_own() as queue:
                keeper = TrailKeeper(
                    trails=self._system.trails, clock=self._system.clock, metrics=self._system.metrics
                )
                self._worker = self._build(queue, threads, processes, pulse, keeper)
                if self._stopped:
                    self._worker.drain()
                async with asyncio.TaskGroup() as tasks:
                    keeping = tasks.create_task(keeper.run())
                    try:
                        await self._worker.run()
                    finally:
                        keeper.stop()
                        await asyncio.wait([keeping], timeout=TRAILS_SECONDS)
                        keeping.cancel()
                keeper.give_up()
        finally:
            await pulse.stop()
            await processes.close()
            threads.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        self._stopped = True
        if self._worker is not None:
            self._worker.drain()

    def _own_span(self, span: JsonText) -> None:
        """One that a handler has made: exported here, unless the program does so itself."""
        export = self._system.span_export
        if export is not None and not self._handler_spans.taken_elsewhere:
            export.put_span(span)

    def _heard(self, incarnation: IncarnationId, status: WorkerState | None) -> None:
        if self._worker is not None:
            self._worker.heard(incarnation, status)

    def _contested(self, leases: Collection[LeaseId]) -> None:
        if self._worker is not None:
            self._worker.contested(leases)

    def _build(
        self,
        queue: JobQueue,
        threads: ThreadPoolExecutor,
        processes: ChildProcesses,
        pulse: HeartbeatThread,
        keeper: TrailKeeper,
    ) -> Worker:
        system = self._system
        return Worker(
            identity=self._identity,
            handlers=self._handlers,
            queue=queue,
            complete=system.complete_jobs,
            execute=Execute(
                reader=system.jobs,
                threads=threads,
                processes=processes,
                result_bytes_max=system.settings.max_payload_bytes,
            ),
            workers=system.workers,
            wakeup=system.wakeup,
            events=system.events,
            pulse=pulse,
            clock=system.clock,
            randomness=system.randomness,
            metrics=system.metrics,
            worker_deaths_max=system.settings.max_worker_deaths,
            on_trail=keeper.note,
            run_spans=self._handler_spans,
            on_span=self._own_span,
            span_export=system.span_export,
            gauges=system.gauges,
            journal=Journal(payloads=system.settings.log_payloads),
            run_locks=None if system.presence_of_its_own is None else pulse,
            limits=WorkerLimits(
                shutdown_timeout=timedelta(seconds=system.settings.worker_shutdown_timeout),
                live_for=timedelta(seconds=system.settings.worker_heartbeat_timeout) * 0.75,
            ),
        )


def _children(settings: Settings, *, idle_max: int) -> ChildProcesses:
    """Children that log as this worker does, and submit to its database, or to none where that is in memory."""
    environment = {
        "LOG_LEVEL": settings.log_level.value,
        "LOG_FORMAT": settings.log_format.value,
        "LOG_REDACT": settings.log_redact or "",
        "JOB_LOG_LEVEL": settings.job_log_level.value,
    }
    if settings.database_url is None:
        return ChildProcesses((*CHILD_COMMAND, MEMORY), idle_max=idle_max, environment=environment)
    environment["DATABASE_URL"] = settings.database_url
    return ChildProcesses(CHILD_COMMAND, idle_max=idle_max, environment=environment)
