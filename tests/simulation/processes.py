"""Simulated processes: workers with their heartbeats, reapers, APIs. Each can be frozen, go on, and vanish."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Any, Final, Protocol, cast

from attrs import evolve

from schedora.adapters.memory.job_writer import MemoryJobWriter
from schedora.adapters.memory.store import MemoryStore
from schedora.application.commands.group_commit import GroupCommit
from schedora.application.commands.submit import SubmitJobs
from schedora.application.handlers import Handlers
from schedora.application.maintenance.reaper import Reaper
from schedora.application.pipeline.execute import Execute
from schedora.application.pipeline.heartbeat import Heartbeat, Vitals
from schedora.application.pipeline.limits import WorkerLimits
from schedora.application.pipeline.liveness_mirror import LivenessMirror
from schedora.application.pipeline.observers import Observers
from schedora.application.pipeline.run_locks import Handover
from schedora.application.pipeline.runs import RunOutput
from schedora.application.pipeline.stages import Stages
from schedora.application.pipeline.worker import Worker
from schedora.application.pipeline.worker_ports import Handling, Liveness, WorkerStore
from schedora.application.ports.heartbeats import Heartbeats
from schedora.application.ports.job_queue import JobQueue
from schedora.application.ports.processes import ProcessCall, ProcessLink
from schedora.application.ports.run_locks import RunLock, RunLocks
from schedora.domain.ids import IncarnationId, LeaseId, WorkerId
from schedora.domain.job import Job
from schedora.domain.outcome import Outcome
from schedora.domain.worker import WorkerIdentity, WorkerState
from schedora.entrypoints.system import System
from tests.simulation.event_loop import SECOND_US, SimulatedClock, SimulatedLoop, SimulatedThread
from tests.simulation.invariants import Seen
from tests.simulation.network import Network, SimulatedWakeup
from tests.simulation.witness import Witness
from tests.simulation.workload import UNKNOWN

IDLE: Final = Vitals(cpu_percent=0.0, memory_percent=0.0)


class Surroundings(Protocol):
    """What a process finds around it."""

    loop: SimulatedLoop
    network: Network
    store: MemoryStore
    system: System
    witness: Witness
    calm: bool

    def ended(self, process: "Process") -> None: ...


class Process:
    """``threads`` live and die together. When what the first does ends by itself, it has exited; what ends by an exception is a
    defect.
    """

    def __init__(self, around: Surroundings, name: str) -> None:
        self.around = around
        self.name = name
        self.clock = SimulatedClock(around.loop)
        self.threads: list[SimulatedThread] = []
        self.running = False
        self.crashed = False
        """Whether it vanished when it was seen last."""
        self._held_until: dict[SimulatedThread, int] = {}

    def crash(self) -> None:
        """It is gone in the middle of whatever it did."""
        self.around.witness.tell(self.name, "vanishes")
        self.running = False
        self.crashed = True
        for thread in self.threads:
            self.around.loop.kill(thread)
        self.around.ended(self)

    @property
    def held_up(self) -> bool:
        """Whether any of its threads stands still, or is cut off."""
        return bool(self._held_until) or any(map(self.around.network.holds_up, self.threads))

    def start(self) -> None:
        raise NotImplementedError

    def go_on(self) -> None:
        """Whatever it stood still for."""
        for thread in self._held_until:
            self.around.loop.thaw(thread)
        self._held_until.clear()

    def stall(self, seconds: float) -> None:
        """It does nothing for a while, as a process does that is stopped, swapped out or on a machine that sleeps."""
        self.around.witness.tell(self.name, f"stands still for {seconds:.1f} s")
        self._hold(self.threads, seconds)

    def cut_off(self, seconds: float) -> None:
        """Nothing passes between it and the store for a while; then all of it does."""
        self.around.witness.tell(self.name, f"is cut off for {seconds:.1f} s")
        for thread in self.threads:
            self.around.network.cut_off(thread, seconds)

    def _hold(self, threads: Sequence[SimulatedThread], seconds: float) -> None:
        loop = self.around.loop
        until = loop.now_us + int(seconds * SECOND_US)
        for thread in threads:
            self._held_until[thread] = max(until, self._held_until.get(thread, until))
            loop.freeze(thread)
        loop.call_later(seconds, self._release, tuple(threads), context=loop.outside)

    def _release(self, threads: Sequence[SimulatedThread]) -> None:
        for thread in threads:
            if self._held_until.get(thread, 0) <= self.around.loop.now_us:
                self._held_until.pop(thread, None)
                self.around.loop.thaw(thread)

    def _thread(self, name: str) -> SimulatedThread:
        thread = SimulatedThread(name)
        self.threads.append(thread)
        return thread

    def _begin(self, *thread_names: str) -> list[SimulatedThread]:
        self.threads = []
        self._held_until.clear()
        self.running = True
        self.crashed = False
        self.around.witness.tell(self.name, "starts")
        return [self._thread(name) for name in thread_names]

    def _spawn(self, thread: SimulatedThread, work: Coroutine[Any, Any, None]) -> None:
        task = self.around.loop.spawn(thread, work)
        task.add_done_callback(partial(self._over, thread))

    def _over(self, thread: SimulatedThread, task: "asyncio.Task[None]") -> None:
        if self.around.witness.closed or not self.running or thread not in self.threads:
            return
        error = asyncio.CancelledError("nobody has") if task.cancelled() else task.exception()
        if error is not None:
            self.around.witness.defect(self.name, error)
            self.crash()
        elif thread is self.threads[0]:  # with which the others end, wherever they are
            self.running = False
            for other in self.threads[1:]:
                self.around.loop.kill(other)
            self.around.witness.tell(self.name, "exits")
            self.around.ended(self)


class WorkerProcess(Process):
    """``make_handlers`` is given this process, for its handlers may do it harm."""

    def __init__(
        self,
        around: Surroundings,
        name: str,
        *,
        slots: int,
        queues: tuple[str, ...],
        locks_runs: bool,
        make_handlers: Callable[["WorkerProcess"], Handlers],
    ) -> None:
        super().__init__(around, name)
        self.slots = slots
        self.queues = queues
        self.locks_runs = locks_runs
        self.make_handlers = make_handlers
        self.worker: Worker | None = None
        self.handlers_running = 0

    def start(self) -> None:
        main, heart = self._begin(self.name, f"{self.name}/heart")
        self.worker = None
        self.handlers_running = 0
        self._spawn(main, self._main(main, heart))

    @property
    def drained_by_request(self) -> bool:
        return self.worker is not None and self.worker.stages.registration.drained_by_request

    def serves(self, queue: str) -> bool:
        return not self.queues or queue in self.queues

    def takes(self, job: Job) -> bool:
        """Whether it is for jobs like that."""
        return self.serves(job.request.queue) and job.request.type != UNKNOWN

    def block(self, seconds: float) -> None:
        """A handler keeps the event loop; the heart goes on."""
        self._hold(self.threads[:1], seconds)

    def check_slots(self) -> None:
        if self.handlers_running > self.slots:
            told = f"{self.name} runs {self.handlers_running} handlers in {self.slots} slots"
            self.around.witness.breaks(Seen.SLOTS_RESPECTED, told)

    def drain(self) -> None:
        """As SIGTERM does."""
        if self.worker is not None:
            self.around.loop.tell(self.threads[0], self.worker.drain)

    async def _main(self, main: SimulatedThread, heart: SimulatedThread) -> None:
        async with self.around.system.queue_of_its_own() as queue:
            heartbeat = SimulatedHeartbeat(self, main, heart)
            self.worker = self._build(queue, heartbeat, main)
            self._spawn(heart, heartbeat.beat())
            await self.worker.run()
            heartbeat.stop()

    def _build(self, queue: JobQueue, heartbeat: "SimulatedHeartbeat", main: SimulatedThread) -> Worker:
        around, system = self.around, self.around.system
        identity = WorkerIdentity(
            worker_id=WorkerId(self.name),
            max_concurrent_jobs=self.slots,
            queues=self.queues,
            types=tuple(handlers := self.make_handlers(self)),
        )
        settings = system.settings
        stages = Stages(
            identity=identity,
            store=WorkerStore(
                queue=around.witness.watched_queue(queue),
                complete=around.witness.watched_complete(system.complete_jobs),
                workers=system.workers,
                wakeup=SimulatedWakeup(around.store, around.network, around.loop, main),
            ),
            handling=Handling(
                handlers=handlers,
                execute=Execute(
                    reader=system.jobs,
                    threads=cast("ThreadPoolExecutor", None),  # the event loop answers for it
                    processes=_NoChildren(),
                    result_bytes_max=settings.max_payload_bytes,
                ),
                output=RunOutput(run_log=lambda _run_log: None),
            ),
            liveness=Liveness(heartbeat=heartbeat, run_locks=heartbeat if self.locks_runs else None),
            observers=Observers(metrics=system.metrics, events=system.events),
            limits=WorkerLimits(
                shutdown_timeout=timedelta(seconds=settings.worker_shutdown_timeout),
                live_for=timedelta(seconds=settings.worker_heartbeat_timeout) * 0.75,
                worker_deaths_max=settings.max_worker_deaths,
            ),
            clock=self.clock,
            randomness=system.randomness,
        )
        return Worker(stages)


class SimulatedHeartbeat:
    """What ``HeartbeatThread`` is to a real worker."""

    def __init__(self, process: WorkerProcess, main: SimulatedThread, heart: SimulatedThread) -> None:
        self._process = process
        self._loop = process.around.loop
        self._main = main
        self._heart = heart
        system = process.around.system
        interval = timedelta(seconds=system.settings.worker_heartbeat_interval)
        self._handover = Handover()
        self._heartbeat = Heartbeat(
            workers=system.workers,
            clock=process.clock,
            interval=interval,
            vitals=lambda: IDLE,
            unit_random=system.randomness.unit,
            on_status=self._heard,
        )
        self._liveness_mirror: LivenessMirror | None = None

    def beat_for(self, incarnation: IncarnationId) -> None:
        self._loop.tell(self._heart, self._heartbeat.beat_for, incarnation)

    def ask(self) -> None:
        self._loop.tell(self._heart, self._heartbeat.ask)

    def keep(self, taken: Sequence[RunLock], released: Sequence[RunLock]) -> None:
        if self._handover.put(taken, released) and self._liveness_mirror is not None:
            self._loop.tell(self._heart, self._liveness_mirror.wake)

    def stop(self) -> None:
        self._loop.tell(self._heart, self._heartbeat.stop)

    async def beat(self) -> None:
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            if (
                show := self._process.around.system.liveness_of_its_own
            ) is not None and self._process.locks_runs:
                heartbeats, run_locks = await stack.enter_async_context(show())
                self._liveness_mirror = self._present(heartbeats, run_locks)
                tasks.create_task(self._liveness_mirror.run())
            await self._heartbeat.run()
            if self._liveness_mirror is not None:
                self._liveness_mirror.stop()

    def _present(self, heartbeats: Heartbeats, run_locks: RunLocks) -> LivenessMirror:
        process = self._process
        return LivenessMirror(
            worker_id=WorkerId(process.name),
            heartbeats=heartbeats,
            run_locks=run_locks,
            handover=self._handover,
            clock=process.clock,
            metrics=process.around.system.metrics,
            interval=timedelta(seconds=process.around.system.settings.worker_heartbeat_interval),
            on_contested=self._contested,
        )

    def _heard(self, incarnation: IncarnationId, status: WorkerState | None) -> None:
        if self._liveness_mirror is not None:
            self._liveness_mirror.heard(incarnation, status)
        if self._process.worker is not None:
            self._loop.tell(self._main, self._process.worker.heard, incarnation, status)

    def _contested(self, leases: Collection[LeaseId]) -> None:
        if self._process.worker is not None:
            self._loop.tell(self._main, self._process.worker.contested, leases)


class ReaperProcess(Process):
    def start(self) -> None:
        (main,) = self._begin(self.name)
        system, witness = self.around.system, self.around.witness
        rescue = evolve(
            system.rescue_jobs,
            queue=witness.watched_queue(system.rescue_jobs.queue),
            complete=witness.watched_complete(system.rescue_jobs.complete),
        )
        reaper = Reaper(
            workers=system.workers,
            events=_KeptByNobody(system.events),
            rescue=rescue,
            prune=system.prune_records,
            rate_limiter=_KeptByNobody(system.rate_limiter),
            run_logs=_KeptByNobody(system.run_logs),
            request_spans=_KeptByNobody(system.request_spans),
            trace_retention=timedelta(seconds=system.settings.trace_retention),
            heartbeats=system.heartbeats,
            metrics=system.metrics,
            clock=self.clock,
            randomness=system.randomness,
            heartbeat_timeout=timedelta(seconds=system.settings.worker_heartbeat_timeout),
            cleanup_after=timedelta(seconds=system.settings.worker_cleanup_after),
        )
        self._spawn(main, reaper.run())


class ApiProcess(Process):
    """Requests run in it; those that are under way when it vanishes are never answered."""

    submit_jobs: SubmitJobs

    def start(self) -> None:
        self._begin(self.name)
        system = self.around.system
        single = GroupCommit(
            job_writer=MemoryJobWriter(self.around.store),
            events=system.events,
            metrics=system.metrics,
            randomness=system.randomness,
        )
        self.submit_jobs = evolve(system.submit_jobs, single=single)

    def ask(self, request: Coroutine[Any, Any, None]) -> None:
        task = self.around.loop.spawn(self.threads[0], request)
        task.add_done_callback(self._answered)

    def _answered(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.around.witness.defect(self.name, error)


class _KeptByNobody:
    """Ports of which a simulation keeps nothing: to look through them in each round would be most of its work."""

    def __init__(self, port: Any) -> None:
        self._port = port

    async def prune(self, *_: Any, **__: Any) -> Any:
        return 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)


class _NoChildren:
    async def run(self, call: ProcessCall, *, link: ProcessLink) -> Outcome:
        raise NotImplementedError("no handler asks for a process of its own here")

    async def close(self) -> None: ...
