"""Submit jobs: each is stored, or found under its idempotency key; all of them or none."""

from collections.abc import Sequence
from itertools import chain

import attrs
from attrs import frozen

from schedora.application.commands.created import all_later, count_created, queues_to_notify
from schedora.application.commands.group_commit import GroupCommit
from schedora.application.commands.new_jobs import new_jobs
from schedora.application.errors import FieldError, Invalid, WorkflowClosed
from schedora.application.overlap import overlapped
from schedora.application.pipeline.publish import publish_submitted
from schedora.application.ports.events import Events
from schedora.application.ports.jobs import NewJob, Submission
from schedora.application.ports.metrics import Metrics
from schedora.application.ports.randomness import Randomness
from schedora.application.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from schedora.application.ports.wakeup import Wakeup
from schedora.application.ports.workflows import CountChange
from schedora.application.propagation import Ending, propagate, workflow_id_of
from schedora.application.telemetry.sampling import EVERYTHING, Sampler
from schedora.domain.dependency import stands_in_the_way
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.job import UPSTREAM_FAILED, Job
from schedora.domain.job_request import JobRequest

CHUNK = 250
"""Jobs that the store is given at once, of a large batch."""


@frozen(kw_only=True)
class SubmitJobs:
    units: UnitOfWorkFactory
    single: GroupCommit | None
    """Stores the jobs that come one by one. None where there is no event loop to wait for: then jobs that come
    together are stored one after the other, too.
    """
    wakeup: Wakeup
    events: Events
    metrics: Metrics
    randomness: Randomness
    sampler: Sampler = EVERYTHING
    batch_max: int = 10_000

    async def __call__(
        self, requests: Sequence[JobRequest], *, connection: object = None
    ) -> list[Submission]:
        """One ``Submission`` per request, in the order given.

        With ``connection`` it happens inside the caller's transaction: nobody but the caller knows when that commits, so
        the first that is told of these jobs is that they are claimed. Raises ``Invalid`` with every bad
        row named, ``WorkflowClosed`` and ``StoreUnavailable``; then nothing is stored.
        """
        if len(requests) > self.batch_max:
            message = f"at most {self.batch_max} jobs in one batch, not {len(requests)}"
            raise Invalid(message, [FieldError(field="jobs", message=message)])
        if not requests:
            return []
        if connection is None:
            if self.single is not None and len(requests) == 1 and requests[0].workflow_id is None:
                return [await self.single.submit(requests[0])]
            async with self.units.begin() as unit:
                submissions = await self._submit(unit, requests, ahead=self.single is not None)
            created = [submission.new for submission in submissions if submission.created]
            self.wakeup.notify(queues=queues_to_notify(created), later=all_later(created))
            publish_submitted(self.events, submissions)
        else:
            async with self.units.join(connection) as joined:
                submissions = await self._submit(joined, requests, ahead=False)
                created = [submission.new for submission in submissions if submission.created]
                await joined.notify(queues=queues_to_notify(created))
        count_created(created, metrics=self.metrics)
        return submissions

    async def _submit(
        self, unit: UnitOfWork, requests: Sequence[JobRequest], *, ahead: bool
    ) -> list[Submission]:
        upstream = await self._upstream(unit, requests)
        submissions = await self._add(unit, requests, upstream, ahead=ahead)
        return await self._into_workflows(unit, submissions, upstream)

    async def _add(
        self,
        unit: UnitOfWork,
        requests: Sequence[JobRequest],
        upstream: dict[JobId, Job],
        *,
        ahead: bool,
    ) -> list[Submission]:
        """With ``ahead`` jobs are made ready while those before them are written."""
        job_ids = [JobId(job_id) for job_id in self.randomness.ordered_ids(len(requests))]

        def made(places: Sequence[int]) -> list[NewJob]:
            return new_jobs(
                [requests[place] for place in places],
                [job_ids[place] for place in places],
                randomness=self.randomness,
                upstream=upstream,
                sampler=self.sampler,
            )

        if not ahead or len(requests) <= CHUNK:
            return await unit.jobs.add(made(range(len(requests))))
        # As the store sorts them, which can't do so between chunks; the sort is stable as well.
        order = sorted(range(len(requests)), key=lambda place: requests[place].idempotency_key or "")
        chunks = (order[start : start + CHUNK] for start in range(0, len(order), CHUNK))
        added = await overlapped(map(made, chunks), unit.jobs.add)
        answers = dict(zip(order, chain.from_iterable(added), strict=True))
        return [answers[place] for place in range(len(requests))]

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
        created = [s.job for s in submissions if s.created and s.new.request.workflow_id is not None]
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
        to_cancel = {
            job.job_id: job.canceled(now=now, reason=UPSTREAM_FAILED)
            for job in created
            if any(stands_in_the_way(upstream[cause].status) for cause in job.request.depends_on)
        }
        if not to_cancel:
            return submissions
        await unit.jobs.save(list(to_cancel.values()))
        endings = [
            Ending(job_id=job.job_id, workflow_id=workflow_id_of(job), status=job.status)
            for job in to_cancel.values()
        ]
        await propagate(unit, endings, now=now)
        return [attrs.evolve(s, record=to_cancel.get(s.job_id, s.record)) for s in submissions]
