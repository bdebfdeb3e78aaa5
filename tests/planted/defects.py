"""Defects that a scheduler must not have, one context manager each: what looks for defects has to find these.

Nothing outside of the tests knows of them. Each stands for a mistake that somebody could make in good faith; it is planted
in the one place where it would be made, in this process, until its context ends.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import Any, Final
from unittest.mock import patch
from uuid import UUID

import attrs
from attrs import frozen

from schedora.adapters.memory import job_queue, jobs
from schedora.adapters.memory.jobs import MemoryJobStore
from schedora.adapters.memory.tables import Tables
from schedora.adapters.memory.unit_of_work import MemoryUnitOfWorkFactory
from schedora.application.maintenance import reaper, rescue
from schedora.application.pipeline import settle as pipeline_settle
from schedora.application.pipeline.handler_pool import HandlerPool
from schedora.application.pipeline.poll_scheduler import PollScheduler
from schedora.application.pipeline.run import Run, StopReason
from schedora.application.ports.unit_of_work import Advanced
from schedora.application.propagation import Ending, propagate
from schedora.domain import completion as completions_module
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion, completed, settle
from schedora.domain.ids import IncarnationId, JobId, LeaseId, WorkerId
from schedora.domain.job_state import JobState
from schedora.domain.lease import Lease
from schedora.domain.outcome import Outcome, Released
from schedora.domain.worker import LIVE, Worker

NEVER: Final = timedelta(days=36_500)


@frozen
class Defect:
    """``planted()`` is a context in which the engine in this process has it."""

    name: str
    told: str
    """In one line, for people."""
    planted: Callable[[], AbstractContextManager[None]]


_defects: dict[str, Defect] = {}
DEFECTS: Final[Mapping[str, Defect]] = _defects
"""All of them, by name."""

Planting = Callable[[], Iterator[None]]


def _defect(told: str) -> Callable[[Planting], Planting]:
    def register(planting: Planting) -> Planting:
        name = planting.__name__
        _defects[name] = Defect(name, told, contextmanager(planting))
        return planting

    return register


@_defect("a completion is taken from whoever brings it, under whatever lease")
def fence_removed() -> Iterator[None]:
    def complete(tables: Tables, completions: Sequence[Completion]) -> set[LeaseId]:
        accepted: set[LeaseId] = set()
        for completion in completions:
            job = tables.jobs.get(completion.job_id)
            if job is not None and not job.ended:
                its_own = job.lease is not None and job.lease.lease_id == completion.lease_id
                held = job if its_own else attrs.evolve(job, lease=_lease_of(completion))
                tables.jobs[job.job_id] = completed(held, completion)
                accepted.add(completion.lease_id)
        return accepted

    with _replaced((jobs, "complete", complete), (job_queue, "complete", complete)):
        yield


@_defect("the reaper takes every worker for lost, whenever it was heard last")
def heartbeat_ignored() -> Iterator[None]:
    def silent_at(worker: Worker, _now: datetime, _timeout: timedelta) -> bool:
        return worker.status in LIVE

    def lost(*_: Any, **__: Any) -> bool:
        return True

    with _replaced((Worker, "silent_at", silent_at), (reaper, "lost", lost)):
        yield


@_defect("workers look for jobs when a hint comes, and never without one")
def hints_relied_on() -> Iterator[None]:
    def interval(_poll_scheduler: PollScheduler, **_: Any) -> timedelta:
        return NEVER

    with _replaced((PollScheduler, "_interval", interval)):
        yield


@_defect("a success does not lower what its dependants wait for")
def release_forgotten() -> Iterator[None]:
    async def release(_store: MemoryJobStore, _job_ids: Sequence[JobId]) -> set[str]:
        return set()

    with _replaced((MemoryJobStore, "release", release)):
        yield


@_defect("a success lowers what its dependants wait for twice")
def release_doubled() -> Iterator[None]:
    once = MemoryJobStore.release

    async def release(store: MemoryJobStore, job_ids: Sequence[JobId]) -> set[str]:
        queues = await once(store, job_ids)
        for upstream in job_ids:
            for job_id in store._tables.dependants.get(upstream, ()):
                job = store._tables.jobs[job_id]
                store._tables.jobs[job_id] = attrs.evolve(job, waits_for=max(0, job.waits_for - 1))
        return queues

    with _replaced((MemoryJobStore, "release", release)):
        yield


@_defect("dependants are released in a transaction of its own, after that of the completion")
def release_outside() -> Iterator[None]:
    async def advance(units: MemoryUnitOfWorkFactory, completions: Sequence[Completion]) -> Advanced:
        async with units.begin() as unit:
            accepted = await unit.jobs.complete(completions)
        endings = [
            Ending(job_id=one.job_id, workflow_id=one.workflow_id, status=one.status)
            for one in completions
            if one.lease_id in accepted and one.ends_job and one.workflow_id is not None
        ]
        async with units.begin() as unit:
            propagated = await propagate(unit, endings, now=await unit.now())
        return Advanced(accepted=frozenset(accepted), queues=frozenset(propagated.queues))

    with _replaced((MemoryUnitOfWorkFactory, "advance", advance)):
        yield


@_defect("a retry is not counted, so that the budget is never used up")
def retries_uncounted() -> Iterator[None]:
    def uncounted(job: ClaimedJob, _outcome: Outcome, completion: Completion) -> Completion:
        if completion.status is not JobState.RETRYING:
            return completion
        return attrs.evolve(completion, retry_count=job.retry_count)

    with _settled_otherwise(uncounted):
        yield


@_defect("what a worker releases has used up an attempt")
def release_burns_attempt() -> Iterator[None]:
    def burnt(_job: ClaimedJob, outcome: Outcome, completion: Completion) -> Completion:
        if not isinstance(outcome, Released):
            return completion
        return attrs.evolve(completion, attempt=completion.attempt + 1)

    with _settled_otherwise(burnt):
        yield


@_defect("the slot of a run whose lease was lost is never free again")
def slot_leaked() -> Iterator[None]:
    end = HandlerPool._end

    def leaking_end(pool: HandlerPool, run: Run, outcome: Outcome | None, now: timedelta) -> None:
        if run.stop_reason is not StopReason.LEASE_LOST:
            end(pool, run, outcome, now)

    with _replaced((HandlerPool, "_end", leaking_end)):
        yield


@_defect("a success that comes late makes a canceled job a success")
def cancel_overwritten() -> Iterator[None]:
    fenced = jobs.complete

    def complete(tables: Tables, completions: Sequence[Completion]) -> set[LeaseId]:
        accepted = fenced(tables, completions)
        for completion in completions:
            job = tables.jobs.get(completion.job_id)
            late = completion.status is JobState.SUCCESS and completion.lease_id not in accepted
            if late and job is not None and job.status is JobState.CANCELED:
                tables.jobs[job.job_id] = attrs.evolve(
                    job, status=JobState.SUCCESS, result=completion.result, started_at=completion.started_at
                )
                accepted.add(completion.lease_id)
        return accepted

    with _replaced((jobs, "complete", complete), (job_queue, "complete", complete)):
        yield


def _lease_of(completion: Completion) -> Lease:
    """As if it were still there."""
    return Lease(
        lease_id=completion.lease_id,
        token=completion.lease_token,
        owner=IncarnationId(UUID(int=0)),
        worker_id=WorkerId("whoever brings it"),
        claimed_at=completion.started_at or completion.ended_at,
    )


Alteration = Callable[[ClaimedJob, Outcome, Completion], Completion]


@contextmanager
def _settled_otherwise(alter: Alteration) -> Iterator[None]:
    def altered(job: ClaimedJob, outcome: Outcome, **told: Any) -> Completion:
        return alter(job, outcome, settle(job, outcome, **told))

    with _replaced(
        *((module, "settle", altered) for module in (completions_module, pipeline_settle, rescue))
    ):
        yield


@contextmanager
def _replaced(*replacements: tuple[Any, str, Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for owner, name, value in replacements:
            stack.enter_context(patch.object(owner, name, value))
        yield
