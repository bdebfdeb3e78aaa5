"""Jobs as commands change them."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime

import attrs

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.tables import Tables
from schedora.application.ports.jobs import NewJob, Submission
from schedora.domain.completion import Completion, completed
from schedora.domain.ids import JobId, LeaseId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.queue import Queue


class MemoryJobStore:
    """Within one transaction. Nobody else changes anything meanwhile: every row is as good as locked."""

    def __init__(self, store: MemoryStore, tables: Tables, now: datetime) -> None:
        self.faults: Faults = store.faults
        self._now = now
        self._tables = tables

    @fallible
    async def add(self, jobs: Sequence[NewJob]) -> list[Submission]:
        submissions = [self._found(new) or self._made(new) for new in jobs]
        self._enrol([submission.job for submission in submissions if submission.created])
        return submissions

    def _found(self, new: NewJob) -> Submission | None:
        key = new.idempotency_key
        taken_by = None if key is None else self._tables.idempotency_keys.get((new.tenant_id, key))
        if taken_by is None:
            return None
        found = self._tables.jobs[taken_by]
        return Submission(
            new=new,
            created=False,
            same_request=self._tables.fingerprints[taken_by] == new.fingerprint,
            created_at=found.created_at,
            record=found,
        )

    def _made(self, new: NewJob) -> Submission:
        tables, request = self._tables, new.request
        if new.job_id in tables.jobs:
            raise ValueError(f"there is already a job {new.job_id}")
        submission = Submission(new=new, created=True, created_at=self._now)
        tables.jobs[new.job_id] = submission.job
        tables.fingerprints[new.job_id] = new.fingerprint
        tables.queues.setdefault(request.queue, Queue(name=request.queue))
        if new.idempotency_key is not None:
            tables.idempotency_keys[new.tenant_id, new.idempotency_key] = new.job_id
        return submission

    def _enrol(self, jobs: Sequence[Job]) -> None:
        """Links new jobs to their workflows and to what they depend on."""
        members: dict[WorkflowId, list[JobId]] = defaultdict(list)
        dependants: dict[JobId, list[JobId]] = defaultdict(list)
        for job in jobs:
            if job.request.workflow_id is not None:
                members[job.request.workflow_id].append(job.job_id)
            for upstream in job.request.depends_on:
                dependants[upstream].append(job.job_id)
        for workflow_id, job_ids in members.items():
            known = self._tables.workflow_jobs.get(workflow_id, ())
            self._tables.workflow_jobs[workflow_id] = (*known, *job_ids)
        for upstream, job_ids in dependants.items():
            self._tables.dependants[upstream] = (*self._tables.dependants.get(upstream, ()), *job_ids)

    @fallible
    async def lock(self, job_ids: Collection[JobId]) -> list[Job]:
        return self._existing(job_ids)

    @fallible
    async def save(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._tables.jobs[job.job_id] = job

    @fallible
    async def delete(self, job_ids: Collection[JobId]) -> None:
        for job in self._existing(job_ids):
            if job.ended:
                forget(self._tables, job.job_id)

    @fallible
    async def complete(self, completions: Sequence[Completion]) -> set[LeaseId]:
        return complete(self._tables, completions)

    @fallible
    async def release(self, job_ids: Collection[JobId]) -> set[str]:
        queues: set[str] = set()
        for upstream in job_ids:
            for job_id in self._tables.dependants.get(upstream, ()):
                job = self._tables.jobs[job_id]
                job = attrs.evolve(job, waits_for=job.waits_for - 1)
                self._tables.jobs[job_id] = job
                if job.claimable:
                    queues.add(job.request.queue)
        return queues

    @fallible
    async def downstream(self, job_ids: Collection[JobId]) -> list[Job]:
        reached: set[JobId] = set()
        frontier = list(job_ids)
        while frontier:
            for dependant in self._tables.dependants.get(frontier.pop(), ()):
                if dependant not in reached:
                    reached.add(dependant)
                    frontier.append(dependant)
        return [job for job in self._existing(reached) if not job.ended]

    def _existing(self, job_ids: Collection[JobId]) -> list[Job]:
        return _existing(self._tables, job_ids)


def complete(tables: Tables, completions: Sequence[Completion]) -> set[LeaseId]:
    """Applies those that end their jobs' leases; answers which."""
    accepted: set[LeaseId] = set()
    for completion in completions:
        job = tables.jobs.get(completion.job_id)
        if job is not None and completion.ends(job.lease):
            tables.jobs[job.job_id] = completed(job, completion)
            accepted.add(completion.lease_id)
    return accepted


def forget(tables: Tables, job_id: JobId) -> None:
    """Removes a job with all that refers to it."""
    job = tables.jobs.pop(job_id)
    del tables.fingerprints[job_id]
    tables.run_logs.pop(job_id, None)
    request = job.request
    if request.idempotency_key is not None:
        del tables.idempotency_keys[job.tenant_id, request.idempotency_key]
    if request.workflow_id is not None:
        others = tables.workflow_jobs[request.workflow_id]
        tables.workflow_jobs[request.workflow_id] = _without(others, job.job_id)
    for upstream in request.depends_on:
        tables.dependants[upstream] = _without(tables.dependants[upstream], job.job_id)
    for dependant in _existing(tables, tables.dependants.pop(job.job_id, ())):
        depends_on = _without(dependant.request.depends_on, job.job_id)
        request = attrs.evolve(dependant.request, depends_on=depends_on)
        tables.jobs[dependant.job_id] = attrs.evolve(dependant, request=request)


def _existing(tables: Tables, job_ids: Collection[JobId]) -> list[Job]:
    """In the order of their ids."""
    return [tables.jobs[job_id] for job_id in sorted(set(job_ids)) if job_id in tables.jobs]


def _without(job_ids: tuple[JobId, ...], gone: JobId) -> tuple[JobId, ...]:
    return tuple(job_id for job_id in job_ids if job_id != gone)
