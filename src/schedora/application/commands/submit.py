"""Submit jobs: each is stored, or found under its idempotency key; all of them or none."""

from collections.abc import Sequence

import attrs
from attrs import frozen

from schedora.application.errors import FieldError, Invalid, WorkflowClosed
from schedora.application.ports.jobs import NewJob, Submission
from schedora.application.ports.metrics import Counter, Metrics
from schedora.application.ports.randomness import Randomness
from schedora.application.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from schedora.application.ports.wakeup import Wakeup
from schedora.application.ports.workflows import CountChange
from schedora.application.propagation import Ending, propagate, workflow_id_of
from schedora.domain.dependency import stands_in_the_way
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.job import UPSTREAM_FAILED, Job
from schedora.domain.job_request import JobRequest
from schedora.domain.job_state import JobState
from schedora.domain.trace import TraceContext


@frozen(kw_only=True)
class SubmitJobs:
    units: UnitOfWorkFactory
    wakeup: Wakeup
    metrics: Metrics
    randomness: Randomness
    batch_max: int = 10_000

    async def __call__(
        self, requests: Sequence[JobRequest], *, connection: object = None
    ) -> list[Submission]:
        """One ``Submission`` per request, in the order given.

        With ``connection`` it happens inside the caller's transaction. Raises ``Invalid`` with every bad
        row named, ``WorkflowClosed`` and ``StoreUnavailable``; then nothing is stored.
        """
        if len(requests) > self.batch_max:
            message = f"at most {self.batch_max} jobs in one batch, not {len(requests)}"
            raise Invalid(message, [FieldError(field="jobs", message=message)])
        if not requests:
            return []
        if connection is None:
            async with self.units.begin() as unit:
                submissions = await self._submit(unit, requests)
            self.wakeup.ring(queues=queues_to_ring(_created(submissions)))
        else:
            async with self.units.join(connection) as joined:
                submissions = await self._submit(joined, requests)
                await joined.ring(queues=queues_to_ring(_created(submissions)))
        count_created(_created(submissions), metrics=self.metrics)
        return submissions

    def new_jobs(self, requests: Sequence[JobRequest], upstream: dict[JobId, Job]) -> list[NewJob]:
        return [
            NewJob(
                job_id=JobId(self.randomness.ordered_id()),
                request=request,
                trace=request.trace or TraceContext.new(self.randomness.bits(192)),
                fingerprint=request.fingerprint(),
                waits_for=sum(upstream[cause].status is not JobState.SUCCESS for cause in request.depends_on),
            )
            for request in requests
        ]

    async def _submit(self, unit: UnitOfWork, requests: Sequence[JobRequest]) -> list[Submission]:
        upstream = await self._upstream(unit, requests)
        submissions = await unit.jobs.add(self.new_jobs(requests, upstream))
        return await self._into_workflows(unit, submissions, upstream)

    async def _upstream(self, unit: UnitOfWork, requests: Sequence[JobRequest]) -> dict[JobId, Job]:
        """The jobs depended on, by id, with their workflows locked and every reference checked."""
        workflow_ids = {request.workflow_id for request in requests if request.workflow_id is not None}
        if not workflow_ids:
            return {}
        workflows = {found.workflow_id: found for found in await unit.workflows.lock(workflow_ids)}
        causes = {cause for request in requests for cause in request.depends_on}
        upstream = {job.job_id: job for job in await unit.jobs.lock(causes)} if causes else {}
        errors: list[FieldError] = []
        for index, request in enumerate(requests):
            prefix = f"jobs[{index}]." if len(requests) > 1 else ""
            if request.workflow_id is None:
                continue
            if request.workflow_id not in workflows:
                message = f"there is no workflow {request.workflow_id}"
                errors.append(FieldError(field=f"{prefix}workflow_id", message=message))
            for position, cause in enumerate(request.depends_on):
                found = upstream.get(cause)
                if found is None or found.request.workflow_id != request.workflow_id:
                    message = f"there is no job {cause} in workflow {request.workflow_id}"
                    errors.append(FieldError(field=f"{prefix}depends_on[{position}]", message=message))
        if errors:
            raise Invalid("; ".join(error.message for error in errors[:3]), errors)
        for workflow in workflows.values():
            if workflow.canceled_at is not None:
                raise WorkflowClosed(f"workflow {workflow.workflow_id} is canceled and takes no more jobs")
        return upstream

    async def _into_workflows(
        self, unit: UnitOfWork, submissions: list[Submission], upstream: dict[JobId, Job]
    ) -> list[Submission]:
        """Counts the new jobs in; cancels those that can never run."""
        created = [s.job for s in submissions if s.created and s.job.request.workflow_id is not None]
        if not created:
            return submissions
        now = await unit.now()
        totals: dict[WorkflowId, int] = {}
        for job in created:
            workflow_id = workflow_id_of(job)
            totals[workflow_id] = totals.get(workflow_id, 0) + 1
        await unit.workflows.count(
            [CountChange(workflow_id=key, total=total) for key, total in sorted(totals.items())], at=now
        )
        doomed = {
            job.job_id: job.canceled(now=now, reason=UPSTREAM_FAILED)
            for job in created
            if any(stands_in_the_way(upstream[cause].status) for cause in job.request.depends_on)
        }
        if not doomed:
            return submissions
        await unit.jobs.save(list(doomed.values()))
        endings = [
            Ending(job_id=job.job_id, workflow_id=workflow_id_of(job), status=job.status)
            for job in doomed.values()
        ]
        await propagate(unit, endings, now=now)
        return [attrs.evolve(s, job=doomed.get(s.job.job_id, s.job)) for s in submissions]


def count_created(created: Sequence[Job], *, metrics: Metrics) -> None:
    for job in created:
        metrics.count(Counter.JOBS_CREATED, job.request.type)
        metrics.count(Counter.QUEUE_ENQUEUED, job.request.queue)


def queues_to_ring(created: Sequence[Job]) -> set[str]:
    """The queues that new jobs can be claimed from."""
    return {job.request.queue for job in created if job.claimable}


def _created(submissions: Sequence[Submission]) -> list[Job]:
    return [submission.job for submission in submissions if submission.created]
