"""Create, cancel and retry whole workflows."""

from collections.abc import Mapping, Sequence

from attrs import evolve, field, frozen

from schedora.application.commands.cancel import CANCELED_BY_REQUEST
from schedora.application.commands.created import count_created, queues_to_notify
from schedora.application.commands.requeue import revive
from schedora.application.errors import Conflict, FieldError, Invalid, NotFound
from schedora.application.pipeline.completion_metrics import count_canceled
from schedora.application.pipeline.publish import publish_created, publish_moved
from schedora.application.ports.events import Events
from schedora.application.ports.jobs import NewJob
from schedora.application.ports.metrics import Metrics
from schedora.application.ports.randomness import Randomness
from schedora.application.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from schedora.application.ports.wakeup import Wakeup
from schedora.application.ports.workflow_reader import WorkflowReader
from schedora.application.ports.workflows import CountChange
from schedora.application.propagation import count_changes
from schedora.application.telemetry.sampling import EVERYTHING, Sampler
from schedora.domain.graph import Graph, unique_keys
from schedora.domain.ids import DEFAULT_TENANT, JobId, JsonText, WorkflowId
from schedora.domain.job import Job
from schedora.domain.job_request import JobRequest
from schedora.domain.job_state import JobState
from schedora.domain.text import check_text
from schedora.domain.trace import TraceContext
from schedora.domain.workflow import (
    DESCRIPTION_LENGTH_MAX,
    JOBS_MAX,
    NAME_LENGTH_MAX,
    Workflow,
    WorkflowState,
)


@frozen(kw_only=True)
class Step:
    """One job of a graph given as a whole: ``request.key`` names it, ``after`` the keys it depends on."""

    request: JobRequest
    after: tuple[str, ...] = ()


@frozen(kw_only=True)
class WorkflowRequest:
    """Raises ``InvalidField``."""

    name: str
    description: str = ""
    config: JsonText = JsonText("{}")
    steps: tuple[Step, ...] = ()
    trace: TraceContext | None = None

    def __attrs_post_init__(self) -> None:
        check_text("name", self.name, length_max=NAME_LENGTH_MAX)
        check_text("description", self.description, length_min=0, length_max=DESCRIPTION_LENGTH_MAX)


@frozen(kw_only=True)
class WorkflowCreated:
    """The workflow with its jobs, in the order in which they were given."""

    workflow: Workflow
    jobs: tuple[Job, ...] = field(default=())


@frozen(kw_only=True)
class CreateWorkflow:
    units: UnitOfWorkFactory
    wakeup: Wakeup
    events: Events
    metrics: Metrics
    randomness: Randomness
    reader: WorkflowReader
    sampler: Sampler = EVERYTHING

    async def __call__(self, request: WorkflowRequest, *, connection: object = None) -> WorkflowCreated:
        """Stores the whole graph or nothing.

        Raises ``InvalidGraph`` (``CycleFound``, ``UnknownKey``, ``DuplicateKey``), ``NameTaken``, ``Conflict``
        when the idempotency key of a step is taken, ``StoreUnavailable``.
        """
        if len(request.steps) > JOBS_MAX:
            message = f"at most {JOBS_MAX} jobs in one workflow, not {len(request.steps)}"
            raise Invalid(message, [FieldError(field="jobs", message=message)])
        depends_on = _depends_on(request.steps)
        workflow_id = WorkflowId(self.randomness.ordered_id())
        made = self.randomness.ordered_ids(len(depends_on))
        job_ids = {key: JobId(job_id) for key, job_id in zip(depends_on, made, strict=True)}
        trace = (
            self.sampler.followed(request.trace)
            if request.trace
            else self.sampler.begun(TraceContext.new(self.randomness.bits(192)))
        )
        new_jobs = [self._new_job(step, workflow_id, job_ids, trace) for step in request.steps]
        if connection is None:
            async with self.units.begin() as unit:
                created = await _store(unit, workflow_id, request, new_jobs)
            self.wakeup.notify(queues=queues_to_notify(new_jobs))
            publish_created(self.events, created.jobs)
        else:
            async with self.units.join(connection) as joined:
                created = await _store(joined, workflow_id, request, new_jobs)
                await joined.notify(queues=queues_to_notify(new_jobs))
        count_created(new_jobs, metrics=self.metrics)
        return created

    def _new_job(
        self, step: Step, workflow_id: WorkflowId, job_ids: Mapping[str, JobId], trace: TraceContext
    ) -> NewJob:
        causes = tuple(job_ids[key] for key in step.after)
        request = evolve(step.request, workflow_id=workflow_id, depends_on=causes)
        return NewJob(
            job_id=job_ids[request.key or ""],
            request=request,
            idempotency_key=request.idempotency_key,
            traceparent=(self.sampler.followed(request.trace) if request.trace else trace).traceparent,
            fingerprint=request.fingerprint(),
            waits_for=len(causes),
        )


@frozen(kw_only=True)
class CancelWorkflow:
    units: UnitOfWorkFactory
    wakeup: Wakeup
    events: Events
    metrics: Metrics
    reader: WorkflowReader

    async def __call__(self, workflow_id: WorkflowId) -> Workflow:
        """Cancels what has not ended; what runs is interrupted. Raises ``NotFound``; ``Conflict`` when the
        workflow has ended.
        """
        async with self.units.begin() as unit:
            found = await unit.workflows.lock([workflow_id])
            if not found:
                raise NotFound("workflow", workflow_id)
            if found[0].ended:
                raise Conflict(f"workflow {workflow_id} has already ended: it is {found[0].status}")
            open_jobs = [job for job in (await unit.workflows.lock_jobs(workflow_id)).jobs if not job.ended]
            now = await unit.now()  # not before they are locked: until then they move
            canceled = [job.canceled(now=now, reason=CANCELED_BY_REQUEST) for job in open_jobs]
            await unit.jobs.save(canceled)
            await unit.workflows.set_canceled(workflow_id, now)
            gained = [(workflow_id, JobState.CANCELED) for _ in open_jobs]
            changes = count_changes(gained) or [CountChange(workflow_id=workflow_id)]
            await unit.workflows.count(changes, at=now)
        owners = {job.lease.owner for job in open_jobs if job.lease is not None}
        if owners:
            self.wakeup.notify(owners=owners)
        count_canceled(self.metrics, canceled)
        publish_moved(self.events, canceled)
        return await _read(self.reader, workflow_id)


@frozen(kw_only=True)
class RetryWorkflow:
    units: UnitOfWorkFactory
    wakeup: Wakeup
    events: Events
    reader: WorkflowReader

    async def __call__(self, workflow_id: WorkflowId) -> Workflow:
        """Runs again what failed and what waited for it; finished steps are kept. Raises ``NotFound``;
        ``Conflict`` unless the workflow is FAILED.
        """
        async with self.units.begin() as unit:
            found = await unit.workflows.lock([workflow_id])
            if not found:
                raise NotFound("workflow", workflow_id)
            if found[0].status is not WorkflowState.FAILED:
                raise Conflict(
                    f"workflow {workflow_id} is {found[0].status}; only FAILED ones can be retried"
                )
            whole = await unit.workflows.lock_jobs(workflow_id)
            roots = [job.job_id for job in whole.jobs if job.status is JobState.DEAD]
            changed = await revive(unit, workflow_id, roots, now=await unit.now())
        self.wakeup.notify(queues={job.request.queue for job in changed if job.claimable})
        publish_moved(self.events, changed)
        return await _read(self.reader, workflow_id)


async def _store(
    unit: UnitOfWork, workflow_id: WorkflowId, request: WorkflowRequest, new_jobs: Sequence[NewJob]
) -> WorkflowCreated:
    workflow = await unit.workflows.add(
        workflow_id=workflow_id,
        name=request.name,
        description=request.description,
        config=request.config,
        tenant_id=DEFAULT_TENANT,
    )
    submissions = await unit.jobs.add(new_jobs) if new_jobs else []
    for submission, new_job in zip(submissions, new_jobs, strict=True):
        if not submission.created:
            raise Conflict(
                f"the idempotency key {new_job.request.idempotency_key!r} of step"
                f" {new_job.request.key!r} is taken by job {submission.job_id}"
            )
    if new_jobs:
        await unit.workflows.count(
            [CountChange(workflow_id=workflow_id, total=len(new_jobs))], at=workflow.created_at
        )
    jobs = tuple(submission.job for submission in submissions)
    counts = evolve(workflow.counts, total=len(jobs))
    return WorkflowCreated(workflow=evolve(workflow, counts=counts), jobs=jobs)


async def _read(reader: WorkflowReader, workflow_id: WorkflowId) -> Workflow:
    workflow = await reader.get(workflow_id)
    if workflow is None:
        raise NotFound("workflow", workflow_id)
    return workflow


def _depends_on(steps: Sequence[Step]) -> dict[str, tuple[str, ...]]:
    """The graph by keys, checked. Raises ``Invalid`` for a step without key, else ``InvalidGraph``."""
    errors = [
        FieldError(field=f"jobs[{index}].key", message="every job of a workflow needs a key")
        for index, step in enumerate(steps)
        if step.request.key is None
    ]
    for index, step in enumerate(steps):
        if len(set(step.after)) < len(step.after):
            message = "depends_on names a key more than once"
            errors.append(FieldError(field=f"jobs[{index}].depends_on", message=message))
    if errors:
        raise Invalid(errors[0].message, errors)
    unique_keys(step.request.key or "" for step in steps)
    depends_on = {step.request.key or "": step.after for step in steps}
    Graph(depends_on)
    return depends_on
