"""The engine's memory store, opened on one state, and what each of its commits made of it."""

from collections.abc import Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import attrs

from schedora.adapters.memory.faults import AFTER_COMMIT, Faults
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.tables import Tables
from schedora.domain.ids import IncarnationId, JobId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.queue import Queue
from schedora.domain.worker import Worker
from schedora.domain.workflow import Workflow
from tests.model.system import System

T = TypeVar("T")


def done(call: Coroutine[Any, Any, T]) -> T:
    """What it answers. It must not wait for anything: nobody else is there."""
    try:
        call.send(None)
    except StopIteration as stop:
        answer: T = stop.value
        return answer
    call.close()
    raise AssertionError(f"{call} waits")


class StoodClock:
    """Port ``Clock``: one moment."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> timedelta:
        return timedelta(0)


class Numbers:
    """Port ``Randomness``: ids that no other step makes."""

    def __init__(self, step: int) -> None:
        self._next = step << 16

    def unit(self) -> float:
        return 0.0

    def random_id(self) -> UUID:
        self._next += 1
        return UUID(int=self._next)


class Commits(Faults):
    """Sees the store after each commit."""

    def __init__(self) -> None:
        super().__init__()
        self.store: MemoryStore | None = None
        self.seen: list[tuple[dict[JobId, Job], dict[WorkflowId, Workflow], dict[IncarnationId, Worker]]] = []

    def pass_by(self, point: str) -> None:
        if point == AFTER_COMMIT and self.store is not None:
            tables = self.store._tables
            self.seen.append((dict(tables.jobs), dict(tables.workflows), dict(tables.workers)))


class Unheeded:
    """Ports ``Events`` and ``Metrics`` where nobody looks on."""

    wanted = False

    def publish(self, notices: object, *, lost: int = 0) -> None: ...

    def count(self, counter: object, label: str = "", amount: int = 1) -> None: ...

    def observe(self, histogram: object, labels: object, spans: object) -> None: ...


class Opened:
    """``store`` is a real one."""

    def __init__(self, system: System) -> None:
        clock: Any = StoodClock(system.now)
        numbers: Any = Numbers(system.age + 1)
        self.store = MemoryStore(clock=clock, randomness=numbers)
        self.commits = Commits()
        self.store.faults = self.commits
        self.commits.store = self.store
        self.store._tables = tables_of(system)
        for job in system.jobs:
            self.store.index.follow(None, job)
        self._system = system

    def systems(self) -> list[System]:
        """The state after each commit; what is not in the store is as before."""
        return [self._after(*seen) for seen in self.commits.seen]

    def _after(
        self,
        jobs: Mapping[JobId, Job],
        workflows: Mapping[WorkflowId, Workflow],
        workers: Mapping[IncarnationId, Worker],
    ) -> System:
        system = self._system
        flow = system.workflow
        return system.stepped(
            jobs=tuple(jobs[job.job_id] for job in system.jobs),
            workflow=None if flow is None else workflows[flow.workflow_id],
            nodes=tuple(attrs.evolve(node, row=workers[node.row.incarnation]) for node in system.nodes),
            gone=tuple(workers[worker.incarnation] for worker in system.gone),
        )


def tables_of(system: System) -> Tables:
    jobs = {job.job_id: job for job in system.jobs}
    dependants: dict[JobId, tuple[JobId, ...]] = {}
    for job in system.jobs:
        for cause in job.request.depends_on:
            dependants[cause] = (*dependants.get(cause, ()), job.job_id)
    flow = system.workflow
    return Tables(
        jobs=jobs,
        dependants=dependants,
        workflows={} if flow is None else {flow.workflow_id: flow},
        workflow_jobs={} if flow is None else {flow.workflow_id: tuple(jobs)},
        queues={"default": Queue(name="default")},
        workers={worker.incarnation: worker for worker in system.workers},
    )
