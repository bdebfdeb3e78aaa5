"""Workflows as they are asked for and as they are shown."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from typing_extensions import TypedDict

from schedora.application.commands.workflows import Step, WorkflowCreated, WorkflowRequest
from schedora.application.errors import TooLarge
from schedora.application.ports.workflows import WorkflowJobs
from schedora.domain.errors import InvalidField
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora.domain.trace import TraceContext
from schedora.domain.workflow import DESCRIPTION_LENGTH_MAX, NAME_LENGTH_MAX, Workflow, WorkflowState
from schedora.entrypoints.api.answers import embedded
from schedora.entrypoints.api.problems import FieldProblem, Refused, field_problem, invalid, placed, too_large
from schedora.entrypoints.api.schemas.fields import (
    Body,
    Cursor,
    FilterName,
    ObjectJson,
    QueryString,
    Utc,
    documented_text,
)
from schedora.entrypoints.api.schemas.job_submission import LOOKED_AT_MAX, StepSubmission, encoded_object
from schedora.entrypoints.api.schemas.jobs import LIMIT_DEFAULT, JobView, Limit, job_view


class WorkflowSubmission(Body):
    """A workflow, with its whole graph or empty."""

    name: Annotated[str, documented_text(NAME_LENGTH_MAX)]
    description: Annotated[str, documented_text(DESCRIPTION_LENGTH_MAX, length_min=0)] = ""
    config: Annotated[dict[str, Any], Field(default_factory=dict)]
    jobs: Annotated[list[StepSubmission], Field(max_length=LOOKED_AT_MAX)] | None = None

    def request(self, *, trace: TraceContext, payload_max_bytes: int) -> WorkflowRequest:
        """The request to the application. Raises ``Refused`` with every rule broken, and ``TooLarge``."""
        errors: list[FieldProblem] = []
        config = encoded_object("config", self.config, payload_max_bytes, errors)
        oversize: list[FieldProblem] = []
        steps: list[Step] = []
        for index, submission in enumerate(self.jobs or ()):
            try:
                request = submission.request(trace=trace, payload_max_bytes=payload_max_bytes)
            except Refused as refused:
                errors += placed(refused.problem.errors, f"jobs[{index}]")
            except TooLarge as error:
                oversize += placed([field_problem(error.field, str(error))], f"jobs[{index}]")
            else:
                steps.append(Step(request=request, after=tuple(submission.depends_on or ())))
        for name, description in ((self.name, ""), ("-", self.description)):
            try:
                WorkflowRequest(name=name, description=description)
            except InvalidField as error:
                errors.append(field_problem(error.field, str(error), error.value))
        if oversize:
            raise Refused(too_large([*oversize, *errors]))
        if errors:
            raise Refused(invalid(errors))
        return WorkflowRequest(
            name=self.name, description=self.description, config=config, steps=tuple(steps), trace=trace
        )


class WorkflowStatusView(TypedDict):
    """``completed_jobs`` succeeded; ``pending_jobs`` include those claimed and those that will be retried."""

    workflow_id: UUID
    status: WorkflowState
    total_jobs: int
    completed_jobs: int
    pending_jobs: int
    failed_jobs: int
    running_jobs: int
    canceled_jobs: int


class WorkflowView(WorkflowStatusView):
    name: str
    description: str
    config: ObjectJson
    created_at: Utc
    completed_at: Utc | None


class NewStepView(TypedDict):
    job_id: UUID
    key: str | None
    type: str
    status: JobState


class WorkflowCreatedView(WorkflowView):
    """``jobs`` in the order in which they were given."""

    jobs: list[NewStepView]


# "from" is none that a class could carry.
EdgeView = TypedDict("EdgeView", {"from": UUID, "to": UUID})


class WorkflowDetailView(WorkflowView):
    """``edges`` lead from a job to one that waits for it."""

    jobs: list[JobView]
    edges: list[EdgeView]


class WorkflowsQuery(QueryString):
    status: Annotated[WorkflowState | None, Field(description="Workflows in this state alone")] = None
    name: Annotated[FilterName | None, Field(description="The workflow of this name alone")] = None
    limit: Limit = LIMIT_DEFAULT
    cursor: Cursor = None


def workflow_status_view(workflow: Workflow) -> WorkflowStatusView:
    counts = workflow.counts
    return {
        "workflow_id": workflow.workflow_id,
        "status": workflow.status,
        "total_jobs": counts.total,
        "completed_jobs": counts.succeeded,
        "pending_jobs": counts.pending,
        "failed_jobs": counts.failed,
        "running_jobs": counts.running,
        "canceled_jobs": counts.canceled,
    }


def workflow_view(workflow: Workflow) -> WorkflowView:
    return {
        "name": workflow.name,
        "description": workflow.description,
        "config": embedded(workflow.config),
        "created_at": workflow.created_at,
        "completed_at": workflow.completed_at,
        **workflow_status_view(workflow),
    }


def workflow_created_view(created: WorkflowCreated) -> WorkflowCreatedView:
    return {**workflow_view(created.workflow), "jobs": [_new_step_view(job) for job in created.jobs]}


def workflow_detail_view(workflow: Workflow, whole: WorkflowJobs) -> WorkflowDetailView:
    return {
        **workflow_view(workflow),
        "jobs": [job_view(job) for job in whole.jobs],
        "edges": [
            {"from": cause, "to": job.job_id}
            for job in whole.jobs
            for cause in whole.depends_on.get(job.job_id, ())
        ],
    }


def _new_step_view(job: Job) -> NewStepView:
    return {"job_id": job.job_id, "key": job.request.key, "type": job.request.type, "status": job.status}
