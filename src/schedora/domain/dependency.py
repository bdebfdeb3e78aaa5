"""What an ending does to those that depend on it, and what an operator's requeue gives back to them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum

from schedora.domain.errors import DomainError
from schedora.domain.graph import Graph
from schedora.domain.ids import JobId
from schedora.domain.job import UPSTREAM_FAILED, Job
from schedora.domain.job_state import ENDED, REQUEUABLE, JobState

REQUEUED = "requeued"


class Effect(Enum):
    """What one ended job means to one dependant."""

    RELEASE = "release"
    """One thing less to wait for."""
    CANCEL = "cancel"
    """It can no longer succeed, nor can what waits for it."""


class UpstreamNotRevived(DomainError):
    """A job can't be requeued while one that it depends on can't succeed."""

    def __init__(self, job_id: JobId, upstream: Job) -> None:
        self.job_id = job_id
        self.upstream = upstream
        super().__init__(
            f"job {job_id} depends on job {upstream.job_id}, which is {upstream.status}: requeue that one first"
        )


def effect(ending: JobState) -> Effect:
    """What an ending does to each dependant. Raises ``ValueError`` for a state that is no ending."""
    if ending not in ENDED:
        raise ValueError(f"{ending} is no ending")
    return Effect.RELEASE if ending is JobState.SUCCESS else Effect.CANCEL


def stands_in_the_way(upstream: JobState) -> bool:
    """Whether a dependency in this state can no longer succeed by itself."""
    return upstream in REQUEUABLE


def revived(
    roots: Iterable[JobId], *, jobs: Mapping[JobId, Job], graph: Graph[JobId], now: datetime
) -> tuple[Job, ...]:
    """The jobs that a requeue of ``roots`` changes: the roots, and what was CANCELED for waiting on them.

    Finished jobs keep their results; a dependant that an operator canceled, or that still depends on another
    job that can't succeed, stays as it is. ``jobs`` and ``graph`` are those of the whole workflow.
    Raises ``UpstreamNotRevived`` when a root depends on a job that can't succeed and does not come back with
    it, and ``IllegalMove`` for a root that is neither DEAD nor CANCELED.
    """
    wanted = set(roots)
    changed: dict[JobId, Job] = {}
    candidates = wanted | set(graph.downstream(wanted))
    for job_id in graph.order:
        if job_id not in candidates:
            continue
        job = jobs[job_id]
        upstream = [changed.get(cause) or jobs[cause] for cause in graph.upstream(job_id)]
        blocker = next((cause for cause in upstream if stands_in_the_way(cause.status)), None)
        if job_id in wanted:
            if blocker is not None:
                raise UpstreamNotRevived(job_id, blocker)
        elif blocker is not None or not waited_in_vain(job):
            continue
        waits_for = sum(cause.status is not JobState.SUCCESS for cause in upstream)
        changed[job_id] = job.requeued(now=now, reason=REQUEUED, waits_for=waits_for)
    return tuple(changed.values())


def waited_in_vain(job: Job) -> bool:
    """CANCELED for no other reason than what it waited for."""
    return job.status is JobState.CANCELED and bool(job.history) and job.history[-1].reason == UPSTREAM_FAILED
