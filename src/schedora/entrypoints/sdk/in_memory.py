"""Test what an app does: the real engine on the memory adapters, under a clock that moves when told to."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from attrs import evolve

from schedora.adapters.memory.virtual_clock import BEGINNING
from schedora.adapters.system.randomness import SeededRandomness
from schedora.adapters.telemetry.log_capture import keeping_lines
from schedora.adapters.telemetry.run_spans import HandlerSpans
from schedora.application.context import JobContext, run_without_waiting
from schedora.application.handlers import BoundCall, Handler, Handlers
from schedora.application.pipeline.execute import Execute
from schedora.application.pipeline.limits import WorkerLimits
from schedora.application.pipeline.observers import Observers
from schedora.application.pipeline.poll_scheduler import PollPolicy
from schedora.application.pipeline.run_log_flusher import RunLogFlusher
from schedora.application.pipeline.runs import RunOutput
from schedora.application.pipeline.stages import Stages
from schedora.application.pipeline.worker import Worker
from schedora.application.pipeline.worker_ports import Handling, Liveness, WorkerStore
from schedora.application.ports.job_queue import JobQueue
from schedora.application.ports.job_reader import JobFilter, JobReader
from schedora.application.ports.processes import ProcessCall, ProcessLink
from schedora.application.ports.unit_of_work import UnitOfWork
from schedora.application.queries.endings import Endings
from schedora.application.telemetry.redaction import redaction_of
from schedora.domain.ids import IncarnationId, JobId, JsonText, WorkerId
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Outcome
from schedora.domain.worker import WorkerIdentity
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.sdk.app import Schedora
from schedora.entrypoints.sdk.driven_clock import NEVER, DrivenClock, acting
from schedora.entrypoints.sdk.log_views import JobLogView, log_view
from schedora.entrypoints.sdk.options import job_id_of
from schedora.entrypoints.sdk.registration import natural_executor
from schedora.entrypoints.sdk.systems import SharedSystem, Use
from schedora.entrypoints.sdk.views import JobView, job_view
from schedora.entrypoints.system import System

T = TypeVar("T")

WORKER: Final = "worker"

TURNS: Final = 10
"""Turns of the event loop in which whatever is under way (a hint, a cancellation) arrives."""

PAGE: Final = 500


@asynccontextmanager
async def in_memory(
    app: Schedora, *, start: datetime = BEGINNING, seed: int = 0, concurrency: int | None = None
) -> AsyncIterator["MemoryScheduler"]:
    """While this context lasts, every call of ``app`` and of its handlers goes to a system in memory.

    One worker runs ``concurrency`` handlers at once (the setting WORKER_MAX_CONCURRENT_JOBS where it is not
    given); those for processes run in threads. Time begins at ``start`` and stands still except in
    ``advance`` and while the test waits; ``seed`` decides everything random. What a handler waits for in
    real time is waited for.
    """
    clock = DrivenClock(start)
    randomness = SeededRandomness(seed, clock)
    system = build_system(app.settings, database_url=None, clock=clock, randomness=randomness)
    endings = DrivenEndings(system.jobs, clock)
    system = evolve(system, endings=endings)
    threads = ThreadPoolExecutor(thread_name_prefix="schedora-handler")
    async with system.queue_of_its_own() as queue:
        slots = concurrency or app.settings.worker_max_concurrent_jobs
        keeper = RunLogFlusher(run_logs=system.run_logs, clock=clock, metrics=system.metrics)
        worker = _worker(app, system, queue, threads, slots=slots, keeper=keeper)
        scheduler = MemoryScheduler(system, clock, endings, worker, keeper)
        settings = app.settings
        kept = keeping_lines(settings.job_log_level, redaction_of(settings.log_redact))
        with app.using(MemorySystems(system)), kept:
            try:
                scheduler.begin()
                await scheduler.run_until_idle()
                yield scheduler
            finally:
                await scheduler.end()
                threads.shutdown(wait=False, cancel_futures=True)


class MemoryScheduler:
    """The system in memory, and its time."""

    def __init__(
        self,
        system: System,
        clock: DrivenClock,
        endings: "DrivenEndings",
        worker: Worker,
        keeper: RunLogFlusher,
    ) -> None:
        self.system = system
        self._clock = clock
        self._endings = endings
        self._worker = worker
        self._keeper = keeper
        self._task: asyncio.Task[None] | None = None

    @property
    def now(self) -> datetime:
        return self._clock.now()

    async def run_until_idle(self) -> None:
        """Runs all that is due, and what becomes due by that, without moving the time.

        Returns when nothing is left but what waits for its time: delayed jobs, retries, runs that sleep.
        """
        await self._clock.come_to_rest()

    async def advance(
        self, span: timedelta | None = None, *, days: float = 0, hours: float = 0, minutes: float = 0,
        seconds: float = 0,
    ) -> None:  # fmt: skip
        """Moves the time, moment by moment, and runs at each what falls due then."""
        more = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        await self._clock.sleep((span or timedelta(0)) + more)

    def jobs(
        self, job_type: str | None = None, *, status: JobState | str | None = None
    ) -> list[JobView[Any]]:
        """All jobs, or those of one type or status, in the order of their submission."""
        states = frozenset() if status is None else frozenset({JobState(status)})
        job_filter = JobFilter(type=job_type, states=states)
        views: list[JobView[Any]] = []
        after: JobId | None = None
        while True:
            page = run_without_waiting(self.system.jobs.page(job_filter, limit=PAGE, after=after))
            views += [job_view(job) for job in page.jobs]
            after = page.next_after
            if after is None:
                return views[::-1]

    async def logs(self, job: JobView[Any] | UUID | str) -> JobLogView:
        """What the handler of this job has logged so far, as far as that is kept. Raises ``NotFound``."""
        await self._keeper.flush()
        return log_view(await self.system.read_job_log(job_id_of(job)))

    def transaction(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """A transaction of this system: what it yields is a ``connection=`` to submit jobs on."""
        return self.system.units.begin()

    def begin(self) -> None:
        """Starts the worker."""
        self._clock.settle = self._settle
        token = acting.set(WORKER)
        try:
            self._task = asyncio.create_task(self._worker.run(), name="schedora-worker")
        finally:
            acting.reset(token)
        self._task.add_done_callback(lambda _: self._clock.stirred.set())

    async def end(self) -> None:
        """Stops the worker and the handlers, wherever they are."""
        tasks = [run.task for run in self._worker.stages.pool.runs.running.values()] + [self._task]
        running = [task for task in tasks if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self.system.close()

    async def _settle(self) -> None:
        """Until all that could still do something at this moment waits for the time to move."""
        stirred = self._clock.stirred
        while True:
            stirred.clear()
            if self._task is None or self._task.done():
                raise RuntimeError("the worker in memory has ended") from self._failure()
            if self._at_rest():
                for _ in range(TURNS):
                    await asyncio.sleep(0)
                if self._at_rest() and not await self._endings.look():
                    await self._keeper.flush()
                    return
            else:
                await stirred.wait()

    def _at_rest(self) -> bool:
        runs = [
            lease_id for lease_id, run in self._worker.stages.pool.runs.running.items() if not run.settled
        ]
        return all(self._clock.waits(who) for who in (WORKER, *runs))

    def _failure(self) -> BaseException | None:
        return None if self._task is None or self._task.cancelled() else self._task.exception()


class DrivenEndings(Endings):
    """Endings that are looked for when the engine has come to rest."""

    def __init__(self, reader: JobReader, clock: DrivenClock) -> None:
        super().__init__(reader, clock)
        self._jobs = reader
        self._time = clock
        self._waited_for: dict[asyncio.Event, JobId] = {}

    async def wait(self, job_id: JobId, at_most: timedelta) -> bool:
        if await self._jobs.ended([job_id]):
            return True
        event = asyncio.Event()
        self._waited_for[event] = job_id
        try:
            return await self._time.wait(event, at_most)
        finally:
            del self._waited_for[event]

    async def look(self) -> bool:
        """Wakes those whose jobs have ended; whether there was any."""
        pending = {event: job_id for event, job_id in self._waited_for.items() if not event.is_set()}
        ended = await self._jobs.ended(set(pending.values())) if pending else set()
        woken = [event for event, job_id in pending.items() if job_id in ended]
        for event in woken:
            event.set()
        return bool(woken)


class MemorySystems(SharedSystem):
    """Sends the calls of an app to the system in memory, which a test may ask synchronously, too."""

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self._without_waiting = evolve(system, submit_jobs=evolve(system.submit_jobs, single=None))

    def use_on_its_own_loop(self, use: Use[T]) -> T:
        # A handler may not: in a real worker it could not either.
        if acting.get() is not None:
            return super().use_on_its_own_loop(use)
        return _at_once(use(self._without_waiting))


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that has nothing to wait for. Raises ``RuntimeError`` when it has."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("this would block the event loop that it waits for: use the asynchronous form")


class _NoHeartbeat:
    """Nobody doubts that the worker lives."""

    def beat_for(self, incarnation: IncarnationId) -> None: ...

    def ask(self) -> None: ...


class _NoProcesses:
    async def run(self, call: ProcessCall, *, link: ProcessLink) -> Outcome:
        raise NotImplementedError("in memory, handlers for processes run in threads")

    async def close(self) -> None: ...


def _worker(
    app: Schedora,
    system: System,
    queue: JobQueue,
    threads: ThreadPoolExecutor,
    *,
    slots: int,
    keeper: RunLogFlusher,
) -> Worker:
    handlers = Handlers(
        evolve(
            function.handler,
            executor=natural_executor(function.function),
            bind=_for_its_run(function.handler),
        )
        for function in app.functions.values()
    )
    execute = Execute(
        reader=system.jobs,
        threads=threads,
        processes=_NoProcesses(),
        result_bytes_max=system.settings.max_payload_bytes,
        run_spans=HandlerSpans(in_process_of_its_own=False),
    )
    stages = Stages(
        identity=WorkerIdentity(
            worker_id=WorkerId("in-memory"), max_concurrent_jobs=slots, types=tuple(handlers)
        ),
        store=WorkerStore(
            queue=queue, complete=system.complete_jobs, workers=system.workers, wakeup=system.wakeup
        ),
        handling=Handling(handlers=handlers, execute=execute, output=RunOutput(run_log=keeper.note)),
        liveness=Liveness(heartbeat=_NoHeartbeat()),
        observers=Observers(metrics=system.metrics, events=system.events),
        limits=WorkerLimits(
            # Hints arrive for certain: nothing has to be looked for at intervals.
            poll_policy=PollPolicy(poll=NEVER, poll_longest=NEVER),
            lease_check=NEVER,
            lease_check_idle=NEVER,
            worker_deaths_max=system.settings.max_worker_deaths,
        ),
        clock=system.clock,
        randomness=system.randomness,
    )
    return Worker(stages)


def _for_its_run(handler: Handler) -> Callable[[JsonText], BoundCall]:
    """Binds as the handler does; the call says for which run it waits."""

    def bind(payload: JsonText) -> BoundCall:
        call = handler.bind(payload)

        def for_its_run(context: JobContext) -> Any:
            acting.set(context.job.lease_id)
            return call(context)

        return for_its_run

    return bind
