"""Waiting for jobs and workflows to end."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from schedora.application.directives import as_delay
from schedora.application.errors import NotFound
from schedora.application.ports.job_reader import JobFilter
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.job_state import ENDED, JobState
from schedora.domain.workflow import Workflow
from schedora.entrypoints.sdk.views import JobView, WorkflowView, job_view, workflow_view

if TYPE_CHECKING:
    from schedora.entrypoints.system import System

Timeout = float | timedelta | None
"""Seconds or a timedelta; None waits without end."""

NO_END = timedelta(days=36_500)
EMPTY_WORKFLOW_PAUSE = timedelta(milliseconds=250)

_NOT_ENDED = frozenset(JobState) - ENDED


async def read_job(system: "System", job_id: JobId) -> JobView[Any]:
    """Raises ``NotFound``."""
    job = await system.jobs.get(job_id)
    if job is None:
        raise NotFound("job", job_id)
    return job_view(job)


async def read_workflow(system: "System", workflow_id: WorkflowId) -> WorkflowView:
    """With its jobs. Raises ``NotFound``."""
    workflow = await _workflow(system, workflow_id)
    return workflow_view(workflow, (await system.workflows.jobs(workflow_id)).jobs)


async def ended_job(system: "System", job_id: JobId, timeout: Timeout) -> JobView[Any]:
    """The job once it has ended. Raises ``TimeoutError`` and ``NotFound``."""
    ended = await system.endings.wait(job_id, _span(timeout))
    job = await read_job(system, job_id)
    if not ended and not job.ended:
        raise TimeoutError(f"job {job_id} has not ended in time: it is {job.status}")
    return job


async def ended_workflow(system: "System", workflow_id: WorkflowId, timeout: Timeout) -> WorkflowView:
    """The workflow once it has ended, with its jobs. Raises ``TimeoutError`` and ``NotFound``."""
    deadline = system.clock.monotonic() + _span(timeout)
    while not (workflow := await _workflow(system, workflow_id)).ended:
        left = deadline - system.clock.monotonic()
        if left <= timedelta(0):
            raise TimeoutError(f"workflow {workflow_id} has not ended in time: it is {workflow.status}")
        # The newest of those that are open: what depends on others tends to come last, and to end last.
        open_jobs = JobFilter(workflow_id=workflow_id, states=_NOT_ENDED)
        page = await system.jobs.page(open_jobs, limit=1, after=None)
        if page.jobs:
            await system.endings.wait(page.jobs[0].job_id, left)
        else:
            await system.clock.sleep(min(EMPTY_WORKFLOW_PAUSE, left))
    return await read_workflow(system, workflow_id)


async def _workflow(system: "System", workflow_id: WorkflowId) -> Workflow:
    workflow = await system.workflows.get(workflow_id)
    if workflow is None:
        raise NotFound("workflow", workflow_id)
    return workflow


def _span(timeout: Timeout) -> timedelta:
    return NO_END if timeout is None else as_delay("timeout", timeout)
