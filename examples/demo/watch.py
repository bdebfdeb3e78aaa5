"""Looking at workflows over HTTP until they have ended."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence

from examples.demo.steps import Run, Step
from examples.demo.system import System

from schedora import AsyncSchedoraClient, Unavailable, WorkflowView

LOOK_EVERY_SECONDS = 0.1


async def watch(
    client: AsyncSchedoraClient, titles: Mapping[str, str], system: System, *, seconds_max: float
) -> AsyncIterator[Sequence[Run]]:
    """Yield the workflows named by the keys of `titles`, again and again, the last time when all have ended.

    Raises TimeoutError when that takes longer than `seconds_max`, and ProcessEndedError when a process of
    the system ends meanwhile.
    """
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        try:
            runs = [read_run(await client.get_workflow(key), title) for key, title in titles.items()]
        except Unavailable:
            system.check()  # it is the better explanation
            raise
        yield runs
        if all(run.ended for run in runs):
            return
        system.check()
        await asyncio.sleep(LOOK_EVERY_SECONDS)
    raise TimeoutError(f"not at an end within {seconds_max:.0f} seconds: {', '.join(titles.values())}")


def read_run(workflow: WorkflowView, title: str) -> Run:
    """Return what the demo needs to know of a workflow as the API shows it."""
    keys = {job.job_id: job.key or str(job.job_id) for job in workflow.jobs}
    return Run(
        workflow_id=str(workflow.workflow_id),
        title=title,
        steps=[
            Step(
                job_id=str(job.job_id),
                key=keys[job.job_id],
                status=str(job.status),
                attempt=job.attempt,
                worker=job.worker_id,
                after=[keys[upstream] for upstream in job.depends_on],
                error=job.error_message,
                started_at=job.started_at,
            )
            for job in workflow.jobs
        ],
    )
