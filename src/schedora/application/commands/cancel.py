"""Cancel a job; what runs is interrupted, what waits for it is canceled too."""

from attrs import frozen

from schedora.application.errors import Conflict, NotFound
from schedora.application.pipeline.completion_metrics import count_canceled
from schedora.application.pipeline.publish import publish_moved
from schedora.application.ports.events import Events
from schedora.application.ports.job_reader import JobReader
from schedora.application.ports.metrics import Metrics
from schedora.application.ports.unit_of_work import UnitOfWorkFactory
from schedora.application.ports.wakeup import Wakeup
from schedora.application.propagation import Ending, propagate
from schedora.domain.ids import JobId
from schedora.domain.job import Job

CANCELED_BY_REQUEST = "canceled by request"


@frozen(kw_only=True)
class CancelJob:
    units: UnitOfWorkFactory
    reader: JobReader
    wakeup: Wakeup
    events: Events
    metrics: Metrics

    async def __call__(self, job_id: JobId) -> Job:
        """The job, CANCELED. Raises ``NotFound``, and ``Conflict`` when it has already ended."""
        seen = await self.reader.get(job_id)
        if seen is None:
            raise NotFound("job", job_id)
        workflow_id = seen.request.workflow_id
        async with self.units.begin() as unit:
            if workflow_id is not None:
                await unit.workflows.lock([workflow_id])
            found = await unit.jobs.lock([job_id])
            if not found:
                raise NotFound("job", job_id)
            job = found[0]
            if job.ended:
                raise Conflict(f"job {job_id} has already ended: it is {job.status}")
            now = await unit.now()
            canceled = job.canceled(now=now, reason=CANCELED_BY_REQUEST)
            await unit.jobs.save([canceled])
            dependants: tuple[Job, ...] = ()
            if workflow_id is not None:
                ending = Ending(job_id=job_id, workflow_id=workflow_id, status=canceled.status)
                dependants = (await propagate(unit, [ending], now=now)).canceled
        if job.lease is not None:
            self.wakeup.notify(owners=[job.lease.owner])
        count_canceled(self.metrics, [canceled, *dependants])
        publish_moved(self.events, [canceled, *dependants])
        return canceled
