"""Pause, resume and purge queues; say how long one keeps what has ended."""

from attrs import frozen

from schedora.application.pipeline.completion_metrics import count_canceled
from schedora.application.pipeline.publish import publish_moved
from schedora.application.ports.events import Events
from schedora.application.ports.job_reader import JobFilter, JobReader
from schedora.application.ports.metrics import Metrics
from schedora.application.ports.queues import Queues
from schedora.application.ports.unit_of_work import UnitOfWorkFactory
from schedora.application.ports.wakeup import Wakeup
from schedora.application.propagation import Ending, propagate
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.job_state import WAITING
from schedora.domain.queue import Queue
from schedora.domain.retention import QueueRetention

PAGE = 500
PURGED = "purged"


@frozen(kw_only=True)
class PauseQueue:
    queues: Queues

    async def __call__(self, name: str) -> Queue:
        """Raises ``InvalidField`` for a name that no queue can have."""
        return await self.queues.pause(Queue(name=name).name)


@frozen(kw_only=True)
class ResumeQueue:
    queues: Queues
    wakeup: Wakeup

    async def __call__(self, name: str) -> Queue:
        """Raises ``InvalidField`` for a name that no queue can have."""
        queue = await self.queues.resume(Queue(name=name).name)
        self.wakeup.notify(queues=[name])
        return queue


@frozen(kw_only=True)
class RetainInQueue:
    queues: Queues

    async def __call__(self, name: str, retention: QueueRetention) -> Queue:
        """Raises ``InvalidField`` for a name that no queue can have."""
        return await self.queues.set_retention(Queue(name=name).name, retention)


@frozen(kw_only=True)
class PurgeQueue:
    units: UnitOfWorkFactory
    reader: JobReader
    events: Events
    metrics: Metrics

    async def __call__(self, queue: str | None) -> int:
        """Cancels every job that waits, in one queue or in all, as of now; answers how many.

        What runs is not touched; what waits for a canceled job is canceled too. Page by page.
        """
        purged_count = 0
        after: JobId | None = None
        while True:
            page = await self.reader.page(JobFilter(states=WAITING, queue=queue), limit=PAGE, after=after)
            by_workflow: dict[WorkflowId | None, list[JobId]] = {}
            for job in page.jobs:
                by_workflow.setdefault(job.request.workflow_id, []).append(job.job_id)
            for workflow_id, job_ids in by_workflow.items():
                purged_count += await self._cancel(job_ids, workflow_id)
            after = page.next_after
            if after is None:
                return purged_count

    async def _cancel(self, job_ids: list[JobId], workflow_id: WorkflowId | None) -> int:
        async with self.units.begin() as unit:
            if workflow_id is not None:
                await unit.workflows.lock([workflow_id])
            waiting = [job for job in await unit.jobs.lock(job_ids) if job.status in WAITING]
            now = await unit.now()  # not before they are locked: until then they move
            canceled = [job.canceled(now=now, reason=PURGED) for job in waiting]
            await unit.jobs.save(canceled)
            dependants: tuple[Job, ...] = ()
            if workflow_id is not None:
                endings = [
                    Ending(job_id=job.job_id, workflow_id=workflow_id, status=job.status) for job in canceled
                ]
                dependants = (await propagate(unit, endings, now=now)).canceled
        count_canceled(self.metrics, [*canceled, *dependants])
        publish_moved(self.events, [*canceled, *dependants])
        return len(canceled)
