"""The worker as a service: the pipeline with its own connection, its heartbeat on a thread of its own."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import NoReturn, TypeVarTuple

from structlog.contextvars import bind_contextvars

import schedora
from schedora.adapters.system.child_command import CHILD_COMMAND, MEMORY
from schedora.adapters.system.crash_recorder import CrashRecorder, in_words
from schedora.adapters.system.processes import ChildProcesses
from schedora.adapters.system.vitals import ProcessVitals, peak_bytes
from schedora.adapters.telemetry.log_capture import keeping_lines
from schedora.adapters.telemetry.run_spans import HandlerSpans
from schedora.application.errors import StoreUnavailable
from schedora.application.handlers import Handlers
from schedora.application.log import Logger
from schedora.application.pipeline.attempt_log import AttemptLog
from schedora.application.pipeline.execute import Execute
from schedora.application.pipeline.heartbeat import Heartbeat
from schedora.application.pipeline.limits import WorkerLimits
from schedora.application.pipeline.liveness_mirror import LivenessMirror
from schedora.application.pipeline.observers import Observers
from schedora.application.pipeline.run import Run
from schedora.application.pipeline.run_locks import Handover
from schedora.application.pipeline.run_log_flusher import RunLogFlusher
from schedora.application.pipeline.runs import RunOutput
from schedora.application.pipeline.stages import Stages
from schedora.application.pipeline.watchdog import Blocked, Watchdog
from schedora.application.pipeline.worker import Worker
from schedora.application.pipeline.worker_ports import Handling, Liveness, WorkerStore
from schedora.application.ports.job_queue import JobQueue
from schedora.application.ports.run_locks import RunLock
from schedora.application.ports.workers import Workers
from schedora.application.telemetry.redaction import redaction_of
from schedora.domain.ids import IncarnationId, JsonText, LeaseId, WorkerId
from schedora.domain.worker import WorkerIdentity, WorkerState
from schedora.domain.worker_death import LINES_MAX, STACK_LENGTH_MAX, WorkerDeath, peak_memory
from schedora.entrypoints.replacement import ReplaceProcess
from schedora.entrypoints.settings import Settings
from schedora.entrypoints.system import System

RUN_LOGS_SECONDS = 3.0
"""How long the last run logs may take to be written: a store that hangs is not waited for."""

LAST_WORDS_SECONDS = 5.0
"""How long the store may take to hear why a worker ends itself."""

log = Logger("schedora.worker")

Told = TypeVarTuple("Told")
OnStatus = Callable[[IncarnationId, WorkerState | None], None]
OnContested = Callable[[Collection[LeaseId]], None]


class HeartbeatThread:
    """The heartbeat, and what else a worker shows of itself, for its loop to talk to. Daemon: it never keeps a process
    alive.

    ``on_death`` is called should it end by a defect: without signs of life a worker must not go on.
    """

    def __init__(  # noqa: PLR0913 - two threads meet here
        self,
        system: System,
        *,
        worker_id: WorkerId,
        on_status: OnStatus,
        on_contested: OnContested,
        on_death: Callable[[], None],
        runs: Callable[[], list[Run]] = list,
        stuck_threads: Callable[[], int] = lambda: 0,
        crash_recorder: CrashRecorder | None = None,
        replace: Callable[[], NoReturn] | None = None,
    ) -> None:
        """``replace`` ends the process for a fresh one to take over; without it, it goes on whatever happens."""
        self._system = system
        self._worker_id = worker_id
        self._interval = timedelta(seconds=system.settings.worker_heartbeat_interval)
        self._on_status = on_status
        self._on_contested = on_contested
        self._on_death = on_death
        self._stuck_threads = stuck_threads
        self._crash_recorder = crash_recorder
        self._replace = replace
        self._main_loop = asyncio.get_running_loop()
        self._watchdog = Watchdog(
            clock=system.clock,
            runs=runs,
            on_blocked=self._end_blocked,
            on_look=_nothing if crash_recorder is None else crash_recorder.touch,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heartbeat: Heartbeat | None = None
        self._workers: Workers | None = None
        self._incarnation: IncarnationId | None = None
        self._liveness_mirror: LivenessMirror | None = None
        self._handover = Handover()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="schedora-heartbeat", daemon=True)

    async def start(self) -> None:
        self._thread.start()
        await asyncio.to_thread(self._ready.wait)  # a Redis that is away takes a moment to be known as such

    def beat_for(self, incarnation: IncarnationId) -> None:
        self._incarnation = incarnation
        if self._crash_recorder is not None:
            self._crash_recorder.name(incarnation)
        if self._heartbeat is not None:
            self._call(self._heartbeat.beat_for, incarnation)

    def ask(self) -> None:
        if self._heartbeat is not None:
            self._call(self._heartbeat.ask)

    def keep(self, taken: Sequence[RunLock], released: Sequence[RunLock]) -> None:
        if self._handover.put(taken, released) and self._liveness_mirror is not None:
            self._call(self._liveness_mirror.wake)

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
            self._workers = await stack.enter_async_context(self._system.workers_of_its_own())
            self._heartbeat = Heartbeat(
                workers=self._workers,
                clock=self._system.clock,
                interval=self._interval,
                vitals=ProcessVitals(),
                stuck_threads=self._stuck_threads,
                on_status=self._heard,
                unit_random=self._system.randomness.unit,
            )
            self._liveness_mirror = await self._shown(stack)
            self._loop = asyncio.get_running_loop()
            self._ready.set()
            async with asyncio.TaskGroup() as tasks:
                if self._liveness_mirror is not None:
                    tasks.create_task(self._liveness_mirror.run())
                watching = tasks.create_task(self._watchdog.run())
                await self._heartbeat.run()
                watching.cancel()
                if self._liveness_mirror is not None:
                    self._liveness_mirror.stop()

    async def _end_blocked(self, blocked: Blocked) -> None:
        """Ends the process, for nothing else ends the handler; first says why, to whoever counts worker deaths."""
        log.error(
            "a handler blocks the event loop for longer than it may",
            consequence="nothing can end it here" if self._replace is None else "a fresh process takes over",
            seconds=blocked.seconds,
            where=blocked.where,
            stack=blocked.stack,
            **({} if blocked.run is None else {"job_id": str(blocked.run.job.job_id)}),
        )
        if self._replace is None:
            return
        if self._workers is not None and self._incarnation is not None:
            how = blocked.how + peak_memory(peak_bytes())
            lines = {}
            if blocked.run is not None and blocked.run.run_log is not None:
                lines[blocked.run.job.job_id] = tuple(
                    map(in_words, blocked.run.run_log.now().lines[-LINES_MAX:])
                )
            death = WorkerDeath(how=how, stack=blocked.stack[-STACK_LENGTH_MAX:], lines=lines)
            try:
                async with asyncio.timeout(LAST_WORDS_SECONDS):
                    await self._workers.note_death(self._incarnation, death)
            except (StoreUnavailable, TimeoutError) as error:
                log.warning("the store can't be told why the worker ends", error=str(error))
        self._replace()

    async def _shown(self, stack: AsyncExitStack) -> LivenessMirror | None:
        if self._system.liveness_of_its_own is None:
            return None
        heartbeats, run_locks = await stack.enter_async_context(self._system.liveness_of_its_own())
        return LivenessMirror(
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
        if self._liveness_mirror is not None:
            self._liveness_mirror.heard(incarnation, status)
        self._tell(self._on_status, incarnation, status)

    def _tell(self, listener: Callable[[*Told], None], *told: *Told) -> None:
        with suppress(RuntimeError):  # the worker's loop has ended
            self._main_loop.call_soon_threadsafe(listener, *told)


def _nothing() -> None: ...


class WorkerService:
    """One worker of this process. ``stop`` drains it."""

    name = "worker"

    def __init__(
        self,
        system: System,
        handlers: Handlers,
        *,
        queues: tuple[str, ...],
        concurrency: int,
        worker_id: str,
        crash_recorder: CrashRecorder | None = None,
        replace: Callable[[], NoReturn] | None = None,
    ) -> None:
        """``replace`` starts the process anew, at once; without it, a worker goes on with what can't be stopped."""
        self._system = system
        self._crash_recorder = crash_recorder
        self._replace = replace
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
        redaction = redaction_of(settings.log_redact)
        on_line = None if self._crash_recorder is None else self._crash_recorder.line
        with keeping_lines(settings.job_log_level, redaction, on_line):
            await self._run()
        if self._worker is not None and self._worker.needs_restart and not self._stopped:
            raise ReplaceProcess

    async def _run(self) -> None:
        threads = ThreadPoolExecutor(
            self._identity.max_concurrent_jobs, thread_name_prefix="schedora-handler"
        )
        processes = _children(self._system.settings, idle_max=self._identity.max_concurrent_jobs)
        heartbeat = HeartbeatThread(
            self._system,
            worker_id=self._identity.worker_id,
            on_status=self._heard,
            on_contested=self._contested,
            on_death=self.stop,
            runs=self._runs,
            stuck_threads=self._stuck_threads,
            crash_recorder=self._crash_recorder,
            replace=self._replace,
        )
        await heartbeat.start()
        try:
            async with self._system.queue_of_its_own() as queue:
                keeper = RunLogFlusher(
                    run_logs=self._system.run_logs, clock=self._system.clock, metrics=self._system.metrics
                )
                self._worker = self._build(queue, threads, processes, heartbeat, keeper)
                if self._stopped:
                    self._worker.drain()
                async with asyncio.TaskGroup() as tasks:
                    keeping = tasks.create_task(keeper.run())
                    try:
                        await self._worker.run()
                    finally:
                        keeper.stop()
                        await asyncio.wait([keeping], timeout=RUN_LOGS_SECONDS)
                        keeping.cancel()
                keeper.give_up()
        finally:
            await heartbeat.stop()
            await processes.close()
            threads.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        self._stopped = True
        if self._worker is not None:
            self._worker.drain()

    def _runs(self) -> list[Run]:
        return [] if self._worker is None else list(self._worker.stages.pool.runs.running.values())

    def _stuck_threads(self) -> int:
        return 0 if self._worker is None else self._worker.stages.pool.runs.stuck_threads()

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
        heartbeat: HeartbeatThread,
        keeper: RunLogFlusher,
    ) -> Worker:
        system = self._system
        settings = system.settings
        stages = Stages(
            identity=self._identity,
            store=WorkerStore(
                queue=queue, complete=system.complete_jobs, workers=system.workers, wakeup=system.wakeup
            ),
            handling=Handling(
                handlers=self._handlers,
                execute=Execute(
                    reader=system.jobs,
                    threads=threads,
                    processes=processes,
                    result_bytes_max=settings.max_payload_bytes,
                    run_spans=self._handler_spans,
                ),
                output=RunOutput(run_log=keeper.note, span=self._own_span),
            ),
            liveness=Liveness(
                heartbeat=heartbeat, run_locks=None if system.liveness_of_its_own is None else heartbeat
            ),
            observers=Observers(
                metrics=system.metrics,
                events=system.events,
                attempt_log=AttemptLog(payloads=settings.log_payloads),
                span_export=system.span_export,
                gauges=system.gauges,
            ),
            limits=WorkerLimits(
                shutdown_timeout=timedelta(seconds=settings.worker_shutdown_timeout),
                live_for=timedelta(seconds=settings.worker_heartbeat_timeout) * 0.75,
                worker_deaths_max=settings.max_worker_deaths,
                replaceable=self._replace is not None,
            ),
            clock=system.clock,
            randomness=system.randomness,
        )
        return Worker(stages)


def _children(settings: Settings, *, idle_max: int) -> ChildProcesses:
    """Children that log as this worker does, and submit to its database, or to none where that is in memory."""
    environment = {
        "LOG_LEVEL": settings.log_level.value,
        "LOG_FORMAT": settings.log_format.value,
        "LOG_REDACT": settings.log_redact or "",
        "JOB_LOG_LEVEL": settings.job_log_level.value,
    }
    command: tuple[str, ...] = CHILD_COMMAND
    if settings.database_url is None:
        command = (*CHILD_COMMAND, MEMORY)
    else:
        environment["DATABASE_URL"] = settings.database_url
        if settings.database_direct_url is not None:
            environment["DATABASE_DIRECT_URL"] = settings.database_direct_url
    memory_max_mb = settings.worker_max_memory_mb_per_child
    return ChildProcesses(
        command,
        idle_max=idle_max,
        jobs_max=settings.worker_max_jobs_per_child,
        memory_max_bytes=None if memory_max_mb is None else memory_max_mb * 1_000_000,
        environment=environment,
    )
