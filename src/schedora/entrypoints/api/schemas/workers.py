"""Workers as they announce themselves and as they are shown."""

from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict

from schedora.domain.ids import WorkerId
from schedora.domain.worker import (
    CONCURRENCY_MAX,
    HOSTNAME_LENGTH_MAX,
    PID_MAX,
    VERSION_LENGTH_MAX,
    WORKER_ID_LENGTH_MAX,
    Worker,
    WorkerIdentity,
    WorkerState,
)
from schedora.entrypoints.api.schemas.fields import Body, QueryString, Utc, documented, documented_text
from schedora.entrypoints.api.schemas.job_submission import Name, QueueName

CPU_PERCENT_MAX = 1_000_000
"""A process on many cores uses more than a hundred."""


class WorkerRegistration(Body):
    """Empty ``queues``: it serves all of them. ``types`` are the job types that it has handlers for."""

    worker_id: Annotated[str, documented_text(WORKER_ID_LENGTH_MAX)]
    hostname: Annotated[str, documented_text(HOSTNAME_LENGTH_MAX, length_min=0)] = ""
    pid: Annotated[int, documented(minimum=0, maximum=PID_MAX)] = 0
    version: Annotated[str, documented_text(VERSION_LENGTH_MAX, length_min=0)] = ""
    max_concurrent_jobs: Annotated[int, documented(minimum=1, maximum=CONCURRENCY_MAX)] = 10
    queues: Annotated[list[QueueName], Field(default_factory=list)]
    types: Annotated[list[Name], Field(default_factory=list)]

    def identity(self) -> WorkerIdentity:
        """Raises ``InvalidField``."""
        return WorkerIdentity(
            worker_id=WorkerId(self.worker_id),
            hostname=self.hostname,
            pid=self.pid,
            version=self.version,
            max_concurrent_jobs=self.max_concurrent_jobs,
            queues=tuple(self.queues),
            types=tuple(self.types),
        )


class Heartbeat(Body):
    cpu_percent: Annotated[float, Field(ge=0, le=CPU_PERCENT_MAX)] | None = None
    memory_percent: Annotated[float, Field(ge=0, le=100)] | None = None


class WorkersQuery(QueryString):
    status_filter: Annotated[
        WorkerState | None,
        BeforeValidator(lambda value: str(value).upper()),
        Field(description="Workers of this status alone, in upper or lower case"),
    ] = None


class WorkerView(TypedDict):
    worker_id: str
    incarnation_id: UUID
    status: WorkerState
    hostname: str
    pid: int
    version: str
    max_concurrent_jobs: int
    running_jobs: int
    queues: list[str]
    types: list[str]
    registered_at: Utc
    last_heartbeat: Utc
    cpu_percent: float | None
    memory_percent: float | None
    stuck_threads: int
    """Of its slots, those whose handler was given up and does not end."""
    death: str | None
    """How its process ended, where that was seen."""


class WorkerListView(TypedDict):
    workers: list[WorkerView]
    total: int


def worker_view(worker: Worker) -> WorkerView:
    identity = worker.identity
    return {
        "worker_id": identity.worker_id,
        "incarnation_id": worker.incarnation,
        "status": worker.status,
        "hostname": identity.hostname,
        "pid": identity.pid,
        "version": identity.version,
        "max_concurrent_jobs": identity.max_concurrent_jobs,
        "running_jobs": worker.running_jobs,
        "queues": list(identity.queues),
        "types": list(identity.types),
        "registered_at": worker.registered_at,
        "last_heartbeat": worker.last_heartbeat,
        "cpu_percent": worker.cpu_percent,
        "memory_percent": worker.memory_percent,
        "stuck_threads": worker.stuck_threads,
        "death": worker.death,
    }
