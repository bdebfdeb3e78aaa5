"""Who sees every commit and every answer of the store, writes down what happened, and holds the invariants against it."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from attrs import frozen

from schedora.adapters.memory.job_index import JobIndex
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.workflows import jobs_of, with_live_counts
from schedora.application.pipeline.complete import Completed, CompleteJobs
from schedora.application.ports.job_queue import JobQueue, SyncAnswer, SyncBatch
from schedora.application.ports.unit_of_work import UnitOfWorkFactory
from schedora.application.ports.wakeup import Wakeup
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.ids import IncarnationId, JobId, LeaseId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.job_state import HELD, MOVES, JobState
from schedora.domain.worker import WorkerState
from schedora_torture import invariants
from schedora_torture.invariants import Invariant, Terms
from tests.simulation.event_loop import SECOND_US, SimulatedLoop
from tests.simulation.invariants import Seen

TERMS: Final = Terms()
"""Without an error of clocks: what workers take for the store's time is never ahead of it."""


class Broken(Exception):
    """An invariant does not hold. ``invariant`` is its name."""

    def __init__(self, invariant: str, told: str) -> None:
        self.invariant = invariant
        self.told = told
        super().__init__(invariant, told)  # so that it passes from process to process

    def __str__(self) -> str:
        return f"{self.invariant}: {self.told}"


class Witness:
    """The trace has one line for each thing that happened: when, who, what."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self.trace: list[str] = []
        self.closed = False
        self.broken: Broken | None = None
        """The first invariant that did not hold."""
        self.claims = 0
        self.fenced = 0
        self.states: Counter[JobState] = Counter()
        self.silence_allowed = timedelta(0)
        self._loop = loop
        self._store: MemoryStore | None = None
        self._names: dict[JobId, str] = {}
        self._accepted: dict[LeaseId, Completion] = {}
        self._ended: dict[LeaseId, Job] = {}
        """The record as it was right after each claim had ended."""
        self._touched: dict[WorkflowId, None] = {}
        self._lost: set[IncarnationId] = set()

    def attend(self, store: MemoryStore) -> None:
        """Before anything is stored."""
        self._store = store
        store.index = _WatchedIndex(self)

    def tell(self, who: str, what: str) -> None:
        if not self.closed:
            self.trace.append(f"{self._loop.now_us / SECOND_US:12.6f}  {who:<14} {what}")

    def defect(self, who: str, error: BaseException) -> None:
        """An exception that nobody should have let pass."""
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        self.breaks(Seen.NO_DEFECTS, f"{who} ended by {type(error).__name__}: {error}", error)

    def breaks(self, invariant: str, told: str, cause: BaseException | None = None) -> None:
        if self.broken is None and not self.closed:
            self.tell("witness", f"{invariant} IS BROKEN: {told}")
            self.broken = Broken(invariant, told)
            self.broken.__cause__ = cause

    def holds(self, violations: Sequence[invariants.Violation]) -> None:
        for violation in violations:
            name = self._names.get(JobId(UUID(violation.subject)), violation.subject)
            self.breaks(violation.invariant, f"{name}: {violation.detail}")

    def name_of(self, job_id: JobId) -> str:
        return self._names.setdefault(job_id, f"job-{len(self._names) + 1}")

    def changed(self, before: Job | None, after: Job | None) -> None:
        """One change of a commit, all of which is in the tables by now."""
        if after is None or self._store is None:
            return
        name = self.name_of(after.job_id)
        if after.request.workflow_id is not None:
            self._touched[after.request.workflow_id] = None
        self.holds(invariants.of_job(after, TERMS))
        if before is None:
            self.tell("store", f"{name} is stored: {_told(after)}")
            return
        if before.status is not after.status or before.lease != after.lease:
            self.states[after.status] += 1
            self.tell("store", f"{name} {before.status} to {after.status}{_move_told(after)}")
        self.holds(invariants.of_change(before, after))
        old, new = before.lease, after.lease
        if new is not None and (old is None or old.lease_id != new.lease_id):
            self.claims += 1
            if old is not None:
                self.breaks(Seen.ONE_HOLDER, f"{name} went from one holder to another without an end between")
            self._claimed(name, after)
        if old is not None and new is None:
            self._ended[old.lease_id] = after
        if not _lawful(before, after):
            self.breaks(Invariant.LAWFUL_MOVES, f"{name} went from {before.status} to {after.status}")

    def _claimed(self, name: str, job: Job) -> None:
        if self._store is None:
            return
        with self._store.committed() as tables:
            for cause in job.request.depends_on:
                if tables.jobs[cause].status is not JobState.SUCCESS:
                    self.breaks(
                        Invariant.UPSTREAM_FIRST,
                        f"{name} was claimed while {self.name_of(cause)} is {tables.jobs[cause].status}",
                    )

    def committed(self, point: str) -> None:
        """All of one commit has been told."""
        if self._store is None:
            return
        if self._touched:
            touched, self._touched = self._touched, {}
            with self._store.committed() as tables:
                for workflow_id in touched:
                    if workflow_id in tables.workflows:
                        workflow = with_live_counts(tables, workflow_id)
                        self.holds(invariants.of_workflow(workflow, jobs_of(tables, workflow_id).jobs, TERMS))
        if point == "workers.declare_stale":
            self._given_up()

    def _given_up(self) -> None:
        if self._store is None:
            return
        with self._store.committed() as tables:
            now = self._store.clock.now()
            for worker in tables.workers.values():
                if worker.status is not WorkerState.STALE or worker.incarnation in self._lost:
                    continue
                self._lost.add(worker.incarnation)
                silent_for = now - worker.last_heartbeat
                self.tell("store", f"{worker.identity.worker_id} is declared lost, silent for {silent_for}")
                if silent_for <= self.silence_allowed:
                    self.breaks(
                        Seen.LOST_WHEN_SILENT, f"{worker.identity.worker_id} was heard {silent_for} ago"
                    )

    def answered(self, who: str, completions: Sequence[Completion], accepted: frozenset[LeaseId]) -> None:
        """What the store said to completions."""
        for completion in completions:
            name = self.name_of(completion.job_id)
            if completion.lease_id not in accepted:
                self.fenced += 1
                self.tell(who, f"{name}: {completion.status} under token {completion.lease_token} is refused")
                continue
            first = self._accepted.get(completion.lease_id)
            if first is not None:
                self.breaks(
                    Seen.ONE_COMPLETION_A_CLAIM,
                    f"{name}: under token {completion.lease_token} both {first.status} and {completion.status}",
                )
            self._accepted[completion.lease_id] = completion
            record = self._ended.get(completion.lease_id)
            if record is None:
                self.breaks(
                    Seen.ACCEPTED_UNDER_ITS_LEASE,
                    f"{name}: {completion.status} was accepted under token {completion.lease_token}, which ended nothing",
                )
            elif record.status is not completion.status or record.attempt != completion.attempt:
                self.breaks(
                    Seen.ACCEPTED_IS_STORED,
                    f"{name}: {completion.status} of attempt {completion.attempt} was accepted,"
                    f" {record.status} of attempt {record.attempt} stored",
                )

    def watched_queue(self, queue: JobQueue) -> JobQueue:
        return _WatchedQueue(queue, self)

    def watched_complete(self, complete: CompleteJobs) -> CompleteJobs:
        return _WatchedComplete(units=complete.units, wakeup=complete.wakeup, witness=self)

    def close(self) -> None:
        """What comes now is no part of it."""
        self.closed = True


class _WatchedIndex(JobIndex):
    def __init__(self, witness: Witness) -> None:
        super().__init__()
        self._witness = witness

    def follow(self, before: Job | None, after: Job | None) -> None:
        super().follow(before, after)
        self._witness.changed(before, after)


class _WatchedQueue:
    def __init__(self, queue: JobQueue, witness: Witness) -> None:
        self._queue = queue
        self._witness = witness

    async def sync(self, batch: SyncBatch) -> SyncAnswer:
        answer = await self._queue.sync(batch)
        self._witness.answered("batch", batch.completions, answer.accepted)
        return answer

    async def held(self, owner: IncarnationId) -> frozenset[LeaseId]:
        return await self._queue.held(owner)

    async def claims(self, owner: IncarnationId) -> list[ClaimedJob]:
        return await self._queue.claims(owner)


@frozen(kw_only=True)
class _WatchedComplete(CompleteJobs):
    units: UnitOfWorkFactory
    wakeup: Wakeup
    witness: Witness

    async def __call__(self, completions: Sequence[Completion]) -> Completed:
        completed = await CompleteJobs.__call__(self, completions)
        self.witness.answered("unit", completions, completed.accepted)
        return completed


def _lawful(before: Job, after: Job) -> bool:
    """Whether some way of the table leads from one to the other: several moves may lie in one commit."""
    if before.status is after.status:
        return True
    if (before.status, after.status) in MOVES:
        return True
    through = {
        (JobState.PENDING, JobState.RUNNING),
        (JobState.RETRYING, JobState.RUNNING),
        (JobState.RUNNING, JobState.RETRYING),
        (JobState.RUNNING, JobState.DEAD),
    }
    unrecorded_start = before.status is JobState.SCHEDULED and after.status in {
        JobState.SUCCESS,
        JobState.RETRYING,
        JobState.DEAD,
    }
    return (before.status, after.status) in through or unrecorded_start


def _told(job: Job) -> str:
    request = job.request
    told = f"{request.type} in {request.queue}, priority {request.priority}"
    if request.depends_on:
        told += f", behind {len(request.depends_on)}"
    return told


def _move_told(job: Job) -> str:
    if job.status in HELD and job.lease is not None:
        return f", token {job.lease.token}, {job.lease.worker_id}"
    if job.status is JobState.RETRYING and job.errors:
        return f", attempt {job.attempt}: {job.errors[-1].kind}"
    if job.history and job.history[-1].reason:
        return f", {job.history[-1].reason}"
    return f", attempt {job.attempt}" if job.attempt else ""
