"""The small systems that are looked at."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

from attrs import frozen

from schedora.domain.ids import IncarnationId, JobId, LeaseToken, WorkerId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.job_request import JobRequest
from schedora.domain.retry import RetryPolicy
from schedora.domain.worker import Worker, WorkerIdentity
from schedora.domain.workflow import JobCounts, Workflow
from tests.builders import NOON, TRACE
from tests.model.system import Node, System

WORKFLOW: Final = WorkflowId(UUID(int=1))


@frozen(kw_only=True)
class Situation:
    """``edges`` has for each job what it depends on, by place; where there is any, all of them are one workflow."""

    name: str
    edges: tuple[tuple[int, ...], ...]
    max_retries: int
    worker_deaths_max: int = 3
    workers: int = 2
    faults: int | None = None
    """None: any number."""
    requests: int | None = None

    @property
    def types(self) -> tuple[str, ...]:
        """Each job is of its own type, so that a claim can be for any of them."""
        return tuple("abc"[: len(self.edges)])

    def beginning(self) -> System:
        together = any(self.edges)
        ids = [JobId(UUID(int=100 + index)) for index in range(len(self.edges))]
        retry = RetryPolicy(max_retries=self.max_retries, base=timedelta(0))
        jobs = tuple(
            Job.submitted(
                JobRequest(
                    type=job_type,
                    retry=retry,
                    workflow_id=WORKFLOW if together else None,
                    key=job_type if together else None,
                    depends_on=tuple(ids[cause] for cause in causes),
                ),
                job_id=job_id,
                trace=TRACE,
                now=NOON,
                waits_for=len(causes),
            )
            for job_id, job_type, causes in zip(ids, self.types, self.edges, strict=True)
        )
        workflow = Workflow(
            workflow_id=WORKFLOW, name="flow", created_at=NOON, counts=JobCounts(total=len(jobs))
        )
        return System(
            jobs=jobs,
            workflow=workflow if together else None,
            nodes=tuple(Node(row=a_row(self, index, index)) for index in range(self.workers)),
            kept_tokens=(LeaseToken(0),) * len(jobs),
            faults_left=self.faults,
            requests_left=self.requests,
        )


def a_row(situation: Situation, index: int, number: int) -> Worker:
    """Of a worker that has just registered; ``number`` tells its incarnations apart."""
    identity = WorkerIdentity(worker_id=WorkerId(f"w{index + 1}"), types=situation.types)
    return Worker(
        identity=identity,
        incarnation=IncarnationId(UUID(int=10_000 + number)),
        registered_at=NOON,
        last_heartbeat=NOON,
    )


_STEPS: Final = ((), (0,))
_JOIN: Final = ((), (), (0, 1))
_ALL: Final = (
    Situation(name="one job", edges=((),), max_retries=0),
    Situation(
        name="one job that is poison, one worker", edges=((),), max_retries=2, worker_deaths_max=2, workers=1
    ),
    Situation(name="two steps, one worker", edges=_STEPS, max_retries=0, workers=1),
    Situation(name="two steps, within bounds", edges=_STEPS, max_retries=0, faults=1, requests=1),
    Situation(
        name="two jobs and one behind both, no faults", edges=_JOIN, max_retries=0, faults=0, requests=0
    ),
    Situation(name="one job, one retry", edges=((),), max_retries=1),
    Situation(name="one job that is poison", edges=((),), max_retries=2, worker_deaths_max=2),
    Situation(name="two steps", edges=_STEPS, max_retries=0),
    Situation(name="two steps, one retry, one worker", edges=_STEPS, max_retries=1, workers=1),
    Situation(name="two steps, one retry, two faults", edges=_STEPS, max_retries=1, faults=2, requests=1),
    Situation(name="two jobs, one worker", edges=((), ()), max_retries=0, workers=1),
    Situation(name="two jobs, within bounds", edges=((), ()), max_retries=0, faults=1, requests=1),
    Situation(
        name="two jobs and one behind both, one worker",
        edges=_JOIN,
        max_retries=0,
        workers=1,
        faults=1,
        requests=1,
    ),
)
SITUATIONS: Final[Mapping[str, Situation]] = {situation.name: situation for situation in _ALL}
SMALL: Final = tuple(SITUATIONS)[:5]
"""Those that are looked at in each run of the tests; together they go through every move of a job."""
