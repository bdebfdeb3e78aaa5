"""A worker over the memory store, at a clock that stands still until a test moves it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

from attrs import evolve

from schedora.adapters.telemetry.gauges import RegisteredGauges
from schedora.application.context import JobContext
from schedora.application.handlers import Executor, Handler, Handlers
from schedora.application.pipeline.attempt_log import AttemptLog
from schedora.application.pipeline.complete import CompleteJobs
from schedora.application.pipeline.execute import Execute
from schedora.application.pipeline.limits import WorkerLimits
from schedora.application.pipeline.observers import Observers
from schedora.application.pipeline.run_locks import RunLockKeeper
from schedora.application.pipeline.run_log_flusher import LiveRunLog
from schedora.application.pipeline.runs import RunOutput
from schedora.application.pipeline.stages import Stages
from schedora.application.pipeline.worker import Worker
from schedora.application.pipeline.worker_ports import Handling, Liveness, WorkerStore
from schedora.application.ports.job_queue import JobQueue
from schedora.application.ports.processes import ProcessCall, ProcessLink
from schedora.application.ports.wakeup import Wakeup
from schedora.application.run_scope import RunSpans
from schedora.domain.ids import IncarnationId, JobId, JsonText, WorkerId
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Outcome
from schedora.domain.worker import Worker as Registered
from schedora.domain.worker import WorkerIdentity
from tests.contract.stores import WORKER_DEATHS_MAX
from tests.unit.application.bench import Bench

TURNS: Final = 40
"""Turns of the event loop in which whatever is under way arrives."""
RESULT_BYTES_MAX: Final = 1_000
PATIENCE_SECONDS: Final = 30
W1: Final = WorkerId("w1")


class RecordedHeartbeat:
    """A heartbeat that beats only when a test says so."""

    def __init__(self) -> None:
        self.incarnations: list[IncarnationId] = []
        self.asked = 0

    def beat_for(self, incarnation: IncarnationId) -> None:
        self.incarnations.append(incarnation)

    def ask(self) -> None:
        self.asked += 1


class Children:
    """Child processes that do what a test says."""

    def __init__(self) -> None:
        self.calls: list[ProcessCall] = []
        self.killed = 0
        self.dies_with: Exception | None = None
        """What goes wrong when one is killed."""
        self.links: list[ProcessLink] = []
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    async def run(self, call: ProcessCall, *, link: ProcessLink) -> Outcome:
        self.calls.append(call)
        self.links.append(link)
        try:
            return await asyncio.shield(self.outcome)
        except asyncio.CancelledError:
            self.killed += 1
            if self.dies_with is not None:
                raise self.dies_with from None
            raise

    async def close(self) -> None: ...


class Held:
    """A handler whose runs go on until they are let go."""

    def __init__(self) -> None:
        self.contexts: list[JobContext] = []
        self.stopped: list[JobId] = []
        self.deaf = False
        """Whether it pays no heed to being stopped."""
        self._let_go = asyncio.Event()

    async def __call__(self, context: JobContext) -> str:
        self.contexts.append(context)
        while not self._let_go.is_set():
            try:
                await self._let_go.wait()
            except asyncio.CancelledError:
                self.stopped.append(context.job_id)
                if not self.deaf:
                    raise
        return "let go"

    def let_go(self) -> None:
        self._let_go.set()


class HeldThread:
    """A blocking handler whose runs go on until they are let go."""

    def __init__(self) -> None:
        self.contexts: list[JobContext] = []
        self.began = threading.Event()
        self._let_go = threading.Event()
        self.ended = threading.Event()

    def __call__(self, context: JobContext) -> str:
        self.contexts.append(context)
        self.began.set()
        if not self._let_go.wait(PATIENCE_SECONDS):
            raise TimeoutError("nobody let this handler go")
        self.ended.set()
        return "let go"

    def told_to_stop(self) -> bool:
        return self.contexts[0].cancelled

    def let_go(self) -> None:
        self._let_go.set()


class Engine:
    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.handlers = Handlers()
        self.heartbeat = RecordedHeartbeat()
        self.children = Children()
        self.slots = 2
        self.queues: tuple[str, ...] = ()
        self.limits = WorkerLimits()
        self.queue: JobQueue = bench.stores.job_queue
        self.complete: CompleteJobs = bench.complete
        self.run_locks: RunLockKeeper | None = None
        self.wakeup: Wakeup = bench.stores.wakeup
        self.run_logs: list[LiveRunLog] = []
        self.spans: list[JsonText] = []
        self.run_spans: RunSpans | None = None
        self.attempt_log = AttemptLog()
        self.gauges = RegisteredGauges()
        self._worker: Worker | None = None
        self.task: asyncio.Task[None] | None = None

    def handle(
        self,
        function: Callable[[JobContext], Any],
        *,
        job_type: str = "work",
        executor: Executor = Executor.ASYNC,
    ) -> None:
        """Runs jobs of this type with ``function``, whatever their payload."""
        self.handlers.add(
            Handler(type=job_type, executor=executor, bind=lambda _: function, target="module:function")
        )

    @property
    def worker(self) -> Worker:
        assert self._worker is not None
        return self._worker

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Worker]:
        """The worker runs meanwhile, and has settled."""
        with ThreadPoolExecutor(self.slots) as threads:
            self._worker = self.build(threads)
            self.task = asyncio.create_task(self._worker.run())
            try:
                await self.settle()
                yield self._worker
            finally:
                self.task.cancel()
                runs = [
                    run.task for run in self._worker.stages.pool.runs.running.values() if run.task is not None
                ]
                for run in runs:
                    run.cancel()
                await asyncio.gather(self.task, *runs, return_exceptions=True)

    def build(self, threads: ThreadPoolExecutor) -> Worker:
        bench = self.bench
        stages = Stages(
            identity=WorkerIdentity(
                worker_id=W1,
                max_concurrent_jobs=self.slots,
                queues=self.queues,
                types=tuple(self.handlers),
            ),
            store=WorkerStore(
                queue=self.queue, complete=self.complete, workers=bench.stores.workers, wakeup=self.wakeup
            ),
            handling=Handling(
                handlers=self.handlers,
                execute=Execute(
                    reader=bench.stores.job_reader,
                    threads=threads,
                    processes=self.children,
                    result_bytes_max=RESULT_BYTES_MAX,
                    run_spans=self.run_spans,
                ),
                output=RunOutput(run_log=self.run_logs.append, span=self.spans.append),
            ),
            liveness=Liveness(heartbeat=self.heartbeat, run_locks=self.run_locks),
            observers=Observers(
                metrics=bench.metrics,
                events=bench.stores.events,
                attempt_log=self.attempt_log,
                span_export=bench.export,
                gauges=self.gauges,
            ),
            limits=evolve(self.limits, worker_deaths_max=WORKER_DEATHS_MAX),
            clock=bench.clock,
            randomness=bench.store.randomness,
        )
        return Worker(stages)

    async def settle(self) -> None:
        """Lets all that can happen at this moment happen, on the event loop."""
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def advance(self, span: timedelta) -> None:
        """Moves the time on, and lets happen what falls due on the way."""
        clock = self.bench.clock
        until = clock.now() + span
        await self.settle()
        while (moment := clock.next_wait) is not None and moment <= until:
            clock.advance_to_next_wait()
            await self.settle()
        clock.advance(until - clock.now())
        await self.settle()

    async def happens(self, event: threading.Event) -> None:
        """Waits for something that a thread does, and lets what comes of it happen."""
        assert await asyncio.to_thread(event.wait, PATIENCE_SECONDS)
        await self.settle()

    async def becomes(self, job: Job, status: JobState) -> Job:
        """The job, once it has come to this state by what a thread does."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (found := await self.bench.stores.job(job.job_id)).status is not status:
                await asyncio.sleep(0)
        return found

    async def incarnations(self) -> list[Registered]:
        return await self.bench.stores.workers.named(W1)
