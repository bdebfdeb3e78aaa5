"""Give ended jobs another life: one by one, or the dead letter queue as a whole."""

from collections.abc import Sequence
from datetime import datetime

import attrs
from attrs import frozen

from schedora.application.errors import Conflict, NotFound
from schedora.application.pipeline.publish import publish_moved
from schedora.application.ports.events import Events
from schedora.application.ports.job_reader import JobFilter, JobReader
from schedora.application.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from schedora.application.ports.wakeup import Wakeup
from schedora.application.propagation import count_changes, workflow_id_of
from schedora.domain.dependency import REQUEUED, UpstreamNotRevived, revived
from schedora.domain.graph import Graph
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.job_state import REQUEUABLE, JobState

PAGE = 500


@frozen(kw_only=True)
class RequeueJob:
    """DEAD or CANCELED becomes PENDING, with a new retry budget. Within a workflow, what was canceled for
    waiting on this job waits for it again.
    """

    units: UnitOfWorkFactory
    reader: JobReader
    wakeup: Wakeup
    events: Events

    async def __call__(self, job_id: JobId, *, only: frozenset[JobState] = REQUEUABLE) -> Job:
        """The job, PENDING. ``only`` names the states that are accepted.

        Raises ``NotFound``; ``Conflict`` when it is in another state or depends on a job that can't succeed.
        """
        seen = await self.reader.get(job_id)
        if seen is None:
            raise NotFound("job", job_id)
        changed = await requeue(self.units, [job_id], seen.request.workflow_id, only=only, strict=True)
        self.wakeup.notify(queues={job.request.queue for job in changed})
        publish_moved(self.events, changed)
        return next(job for job in changed if job.job_id == job_id)


@frozen(kw_only=True)
class RequeueDead:
    """Empties the dead letter queue, or the part that a filter names."""

    units: UnitOfWorkFactory
    reader: JobReader
    wakeup: Wakeup
    events: Events

    async def __call__(self, job_filter: JobFilter) -> int:
        """How many jobs were DEAD and are PENDING again. Goes page by page: a stop keeps what is done."""
        dead = frozenset({JobState.DEAD})
        requeued_count = 0
        after: JobId | None = None
        while True:
            page = await self.reader.page(attrs.evolve(job_filter, states=dead), limit=PAGE, after=after)
            by_workflow: dict[WorkflowId | None, list[JobId]] = {}
            for job in page.jobs:
                by_workflow.setdefault(job.request.workflow_id, []).append(job.job_id)
            for workflow_id, job_ids in by_workflow.items():
                changed = await requeue(self.units, job_ids, workflow_id, only=dead, strict=False)
                requeued_count += sum(job.job_id in set(job_ids) for job in changed)
                self.wakeup.notify(queues={job.request.queue for job in changed})
                publish_moved(self.events, changed)
            after = page.next_after
            if after is None:
                return requeued_count


@frozen(kw_only=True)
class DeleteDead:
    units: UnitOfWorkFactory
    reader: JobReader

    async def __call__(self, job_id: JobId) -> None:
        """Removes a DEAD job for good. Raises ``NotFound``; ``Conflict`` when it is not DEAD, or part of a
        workflow, whose record would have a hole.
        """
        seen = await self.reader.get(job_id)
        if seen is None:
            raise NotFound("job", job_id)
        if seen.request.workflow_id is not None:
            raise Conflict(
                f"job {job_id} is part of workflow {seen.request.workflow_id} and can't be deleted"
            )
        async with self.units.begin() as unit:
            found = await unit.jobs.lock([job_id])
            if not found:
                raise NotFound("job", job_id)
            if found[0].status is not JobState.DEAD:
                raise Conflict(f"job {job_id} is {found[0].status}; only DEAD jobs can be deleted")
            await unit.jobs.delete([job_id])


async def requeue(
    units: UnitOfWorkFactory,
    job_ids: Sequence[JobId],
    workflow_id: WorkflowId | None,
    *,
    only: frozenset[JobState],
    strict: bool,
) -> tuple[Job, ...]:
    """Requeues jobs of one workflow, or of none; answers every job changed.

    When ``strict``, a job in another state than ``only`` raises ``Conflict``; else it is passed over.
    """
    async with units.begin() as unit:
        if workflow_id is not None:
            await unit.workflows.lock([workflow_id])
        found = await unit.jobs.lock(job_ids)
        fitting = [job for job in found if job.status in only]
        if strict and len(fitting) < len(job_ids):
            if not found:
                raise NotFound("job", job_ids[0])
            allowed = " or ".join(sorted(only, reverse=True))
            raise Conflict(f"job {found[0].job_id} is {found[0].status}; only {allowed} jobs can be requeued")
        now = await unit.now()
        if workflow_id is None:
            changed = tuple(job.requeued(now=now, reason=REQUEUED) for job in fitting)
            await unit.jobs.save(changed)
            return changed
        return await revive(unit, workflow_id, [job.job_id for job in fitting], now=now, strict=strict)


async def revive(
    unit: UnitOfWork, workflow_id: WorkflowId, roots: Sequence[JobId], *, now: datetime, strict: bool = True
) -> tuple[Job, ...]:
    """Requeues ``roots`` of a locked workflow and what was canceled for waiting on them; counts moved."""
    whole = await unit.workflows.lock_jobs(workflow_id)
    jobs = {job.job_id: job for job in whole.jobs}
    graph = Graph(whole.depends_on)
    try:
        changed = revived(roots, jobs=jobs, graph=graph, now=now)
    except UpstreamNotRevived as error:
        if strict:
            raise Conflict(str(error)) from error
        return await revive(
            unit, workflow_id, [root for root in roots if root != error.job_id], now=now, strict=False
        )
    await unit.jobs.save(changed)
    lost = [(workflow_id_of(job), jobs[job.job_id].status) for job in changed]
    await unit.workflows.count(count_changes((), lost), at=now)
    if changed:
        await unit.workflows.set_canceled(workflow_id, None)
    return changed
