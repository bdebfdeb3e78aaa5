"""What an ending means for the rest of its workflow: dependants released or canceled, counts moved.

One function for every ending (completion, loss, cancel, purge), always inside the unit of work that ends the
job and with the workflows' rows locked.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from attrs import frozen

from schedora.application.ports.unit_of_work import UnitOfWork
from schedora.application.ports.workflows import CountChange
from schedora.domain.dependency import Effect, effect
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.job import UPSTREAM_FAILED, Job
from schedora.domain.job_state import JobState

_COUNTED = {JobState.SUCCESS: "succeeded", JobState.DEAD: "failed", JobState.CANCELED: "canceled"}


@frozen(kw_only=True)
class Ending:
    """A job of a workflow that has just ended."""

    job_id: JobId
    workflow_id: WorkflowId
    status: JobState


@frozen(kw_only=True)
class Propagated:
    """The queues that got claimable jobs, and the jobs that were canceled."""

    queues: frozenset[str] = frozenset()
    canceled: tuple[Job, ...] = ()


async def propagate(unit: UnitOfWork, endings: Sequence[Ending], *, now: datetime) -> Propagated:
    """Applies the endings to dependants and counts."""
    if not endings:
        return Propagated()
    releasing = [ending.job_id for ending in endings if effect(ending.status) is Effect.RELEASE]
    canceling = [ending.job_id for ending in endings if effect(ending.status) is Effect.CANCEL]
    queues = await unit.jobs.release(releasing) if releasing else ()
    canceled: tuple[Job, ...] = ()
    changes = [(ending.workflow_id, ending.status) for ending in endings]
    if canceling:
        to_cancel = await unit.jobs.downstream(canceling)
        canceled = tuple(job.canceled(now=now, reason=UPSTREAM_FAILED) for job in to_cancel)
        await unit.jobs.save(canceled)
        changes += [(workflow_id_of(job), JobState.CANCELED) for job in canceled]
    await unit.workflows.count(count_changes(changes), at=now)
    return Propagated(queues=frozenset(queues), canceled=canceled)


def count_changes(
    gained: Iterable[tuple[WorkflowId, JobState]], lost: Iterable[tuple[WorkflowId, JobState]] = ()
) -> list[CountChange]:
    """The counts moved by jobs that ended (``gained``) and jobs that are no longer ended (``lost``)."""
    moved: Counter[tuple[WorkflowId, str]] = Counter()
    for workflow_id, status in gained:
        moved[workflow_id, _COUNTED[status]] += 1
    for workflow_id, status in lost:
        moved[workflow_id, _COUNTED[status]] -= 1
    by_workflow: dict[WorkflowId, dict[str, int]] = {}
    for (workflow_id, name), amount in moved.items():
        by_workflow.setdefault(workflow_id, {})[name] = amount
    return [
        CountChange(workflow_id=workflow_id, **amounts)
        for workflow_id, amounts in sorted(by_workflow.items())
    ]


def workflow_id_of(job: Job) -> WorkflowId:
    """The workflow of a job that must have one. Raises ``ValueError``."""
    if job.request.workflow_id is None:
        raise ValueError(f"job {job.job_id} belongs to no workflow")
    return job.request.workflow_id
