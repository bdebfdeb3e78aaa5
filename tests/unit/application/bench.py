"""The use cases over the memory store, at a clock that stands still until a test moves it."""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from attrs import field, frozen

from schedora.adapters.memory.faults import Faults
from schedora.adapters.memory.heartbeats import MemoryHeartbeats
from schedora.adapters.memory.job_reader import MemoryJobReader
from schedora.adapters.memory.run_locks import MemoryRunLocks
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.system.randomness import SeededRandomness
from schedora.application.commands.cancel import CancelJob
from schedora.application.commands.group_commit import GroupCommit
from schedora.application.commands.queues import PauseQueue, PurgeQueue, ResumeQueue, RetainInQueue
from schedora.application.commands.requeue import DeleteDead, RequeueDead, RequeueJob
from schedora.application.commands.submit import SubmitJobs
from schedora.application.commands.workers import BeatWorker, DrainWorker, RegisterWorker
from schedora.application.commands.workflows import (
    CancelWorkflow,
    CreateWorkflow,
    RetryWorkflow,
    Step,
    WorkflowRequest,
)
from schedora.application.maintenance.prune import PruneRecords
from schedora.application.maintenance.rescue import RescueJobs
from schedora.application.pipeline.complete import CompleteJobs
from schedora.application.ports import metrics as ports
from schedora.application.ports.wakeup import Hint
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, Outcome, Released, Succeeded
from schedora.domain.retention import Retention
from schedora.domain.worker import watch_gap_max
from schedora.domain.workflow import Workflow
from tests.builders import a_request
from tests.contract.memory import memory_stores
from tests.contract.stores import WORKER_DEATHS_MAX, Stores
from tests.unit.application.exported import RecordedExport

HEARTBEAT_TIMEOUT = timedelta(seconds=90)
UP = Succeeded()
DOWN = Failed(kind="Oops", message="hopeless", retryable=False)


class RecordedMetrics:
    """Keeps what is counted and timed."""

    def __init__(self) -> None:
        self.counted: Counter[tuple[ports.Counter, str]] = Counter()
        self.observed: list[tuple[ports.Histogram, tuple[str, ...], timedelta]] = []
        self.measured: list[tuple[ports.Histogram, tuple[str, ...], float]] = []

    def count(self, counter: ports.Counter, label: str = "", amount: int = 1) -> None:
        self.counted[counter, label] += amount

    def observe(
        self, histogram: ports.Histogram, labels: tuple[str, ...], spans: Iterable[timedelta]
    ) -> None:
        self.observed += [(histogram, labels, span) for span in spans]

    def measure(self, histogram: ports.Histogram, labels: tuple[str, ...], values: Iterable[float]) -> None:
        self.measured += [(histogram, labels, value) for value in values]


class OutdatedReader(MemoryJobReader):
    """Shows a job as it was, whatever has become of it."""

    def __init__(self, store: MemoryStore, job: Job) -> None:
        super().__init__(store)
        self._job = job

    async def get(self, job_id: JobId) -> Job | None:
        return self._job


@frozen(kw_only=True)
class Bench:
    clock: VirtualClock
    store: MemoryStore
    stores: Stores
    heartbeats: MemoryHeartbeats
    run_locks: MemoryRunLocks
    metrics: RecordedMetrics = field(factory=RecordedMetrics)
    export: RecordedExport = field(factory=RecordedExport)
    hints: list[Hint] = field(factory=list)
    """Those rung, in order, whether or not anybody listens."""

    @property
    def faults(self) -> Faults:
        return self.store.faults

    async def watched(self, span: timedelta) -> None:
        """Time passes while a reaper looks for silent workers, and finds the store there."""
        step = watch_gap_max(HEARTBEAT_TIMEOUT)
        while span > timedelta(0):
            await self.stores.workers.watch(step)
            self.clock.advance(min(step, span))
            span -= step
        await self.stores.workers.watch(step)

    @property
    def submit(self) -> SubmitJobs:
        return SubmitJobs(
            units=self.stores.units,
            single=self.group_commit,
            wakeup=self.stores.wakeup,
            events=self.stores.events,
            metrics=self.metrics,
            randomness=self.store.randomness,
            batch_max=5,
        )

    @property
    def group_commit(self) -> GroupCommit:
        return GroupCommit(
            job_writer=self.stores.job_writer,
            events=self.stores.events,
            metrics=self.metrics,
            randomness=self.store.randomness,
        )

    @property
    def cancel(self) -> CancelJob:
        return CancelJob(
            metrics=self.metrics,
            units=self.stores.units,
            reader=self.stores.job_reader,
            wakeup=self.stores.wakeup,
            events=self.stores.events,
        )

    @property
    def requeue(self) -> RequeueJob:
        return RequeueJob(
            units=self.stores.units,
            reader=self.stores.job_reader,
            wakeup=self.stores.wakeup,
            events=self.stores.events,
        )

    @property
    def requeue_dead(self) -> RequeueDead:
        return RequeueDead(
            units=self.stores.units,
            reader=self.stores.job_reader,
            wakeup=self.stores.wakeup,
            events=self.stores.events,
        )

    @property
    def delete_dead(self) -> DeleteDead:
        return DeleteDead(units=self.stores.units, reader=self.stores.job_reader)

    @property
    def create_workflow(self) -> CreateWorkflow:
        return CreateWorkflow(
            units=self.stores.units,
            wakeup=self.stores.wakeup,
            events=self.stores.events,
            metrics=self.metrics,
            randomness=self.store.randomness,
            reader=self.stores.workflow_reader,
        )

    @property
    def cancel_workflow(self) -> CancelWorkflow:
        return CancelWorkflow(
            metrics=self.metrics,
            units=self.stores.units,
            wakeup=self.stores.wakeup,
            events=self.stores.events,
            reader=self.stores.workflow_reader,
        )

    @property
    def retry_workflow(self) -> RetryWorkflow:
        return RetryWorkflow(
            units=self.stores.units,
            wakeup=self.stores.wakeup,
            events=self.stores.events,
            reader=self.stores.workflow_reader,
        )

    @property
    def register_worker(self) -> RegisterWorker:
        return RegisterWorker(workers=self.stores.workers, randomness=self.store.randomness)

    @property
    def beat_worker(self) -> BeatWorker:
        return BeatWorker(workers=self.stores.workers)

    @property
    def drain_worker(self) -> DrainWorker:
        return DrainWorker(workers=self.stores.workers, wakeup=self.stores.wakeup)

    @property
    def pause_queue(self) -> PauseQueue:
        return PauseQueue(queues=self.stores.queues)

    @property
    def resume_queue(self) -> ResumeQueue:
        return ResumeQueue(queues=self.stores.queues, wakeup=self.stores.wakeup)

    @property
    def purge_queue(self) -> PurgeQueue:
        return PurgeQueue(
            units=self.stores.units,
            reader=self.stores.job_reader,
            events=self.stores.events,
            metrics=self.metrics,
        )

    @property
    def retain_in_queue(self) -> RetainInQueue:
        return RetainInQueue(queues=self.stores.queues)

    @property
    def complete(self) -> CompleteJobs:
        return CompleteJobs(units=self.stores.units, wakeup=self.stores.wakeup)

    @property
    def rescue(self) -> RescueJobs:
        return RescueJobs(
            units=self.stores.units,
            queue=self.stores.job_queue,
            workers=self.stores.workers,
            complete=self.complete,
            wakeup=self.stores.wakeup,
            events=self.stores.events,
            metrics=self.metrics,
            randomness=self.store.randomness,
            worker_deaths_max=WORKER_DEATHS_MAX,
            span_export=self.export,
        )

    @property
    def prune(self) -> PruneRecords:
        hour = timedelta(hours=1)
        return PruneRecords(
            records=self.stores.records,
            clock=self.clock,
            retention=Retention(success=hour, canceled=2 * hour, dead=3 * hour),
        )

    async def flow(self, name: str = "flow", **edges: str) -> dict[str, Job]:
        """A workflow whose jobs have one letter each: ``flow(a="", b="a")``. Answers the jobs by key."""
        steps = tuple(
            Step(request=a_request(key=key, queue=f"queue-{key}"), after=tuple(causes))
            for key, causes in edges.items()
        )
        created = await self.create_workflow(WorkflowRequest(name=name, steps=steps))
        return {str(job.request.key): job for job in created.jobs}

    async def workflow_of(self, jobs: dict[str, Job]) -> Workflow:
        workflow = await self.stores.workflow_reader.get(id_of(jobs))
        assert workflow is not None
        return workflow

    async def states(self, jobs: dict[str, Job]) -> dict[str, JobState]:
        return {key: (await self.stores.job(job.job_id)).status for key, job in jobs.items()}

    async def claim(self, **wish: Any) -> list[ClaimedJob]:
        return await self.stores.claim(await self.stores.worker(), **wish)

    async def run(self, outcomes: dict[str, Outcome]) -> None:
        """Ends what can run with the outcome told for its key, until none of those is left."""
        others: list[ClaimedJob] = []
        while claims := await self.claim():
            ready = [claim for claim in claims if claim.key in outcomes]
            others += [claim for claim in claims if claim.key not in outcomes]
            await self.complete([await self.stores.settle(one, outcomes[str(one.key)]) for one in ready])
        given_back = Released(reason="not told how to end")
        await self.complete([await self.stores.settle(claim, given_back) for claim in others])


def id_of(jobs: dict[str, Job]) -> WorkflowId:
    """The workflow that they are of."""
    [workflow_id] = {job.request.workflow_id for job in jobs.values()}
    assert workflow_id is not None
    return workflow_id


def a_bench() -> Bench:
    clock = VirtualClock()
    store = MemoryStore(clock=clock, randomness=SeededRandomness(1, clock))
    heartbeats = MemoryHeartbeats(store, lifetime=HEARTBEAT_TIMEOUT)
    bench = Bench(
        clock=clock,
        store=store,
        stores=memory_stores(store),
        heartbeats=heartbeats,
        run_locks=MemoryRunLocks(store, heartbeats),
    )
    store.subscribers.append(bench.hints.append)
    return bench
