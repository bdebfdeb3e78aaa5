"""Build a workflow in Python: add its jobs, say what each waits for, submit the whole."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from attrs import evolve, field, frozen

from schedora.application.commands.workflows import Step, WorkflowCreated, WorkflowRequest
from schedora.application.encoding import encode_json
from schedora.domain.errors import DuplicateKey, InvalidField
from schedora.domain.ids import WorkflowId
from schedora.domain.trace import TraceContext
from schedora.domain.workflow import WorkflowState
from schedora.entrypoints.sdk.definition import PreparedJob
from schedora.entrypoints.sdk.submission import check_size, shared_connection, submission_span, synchronous
from schedora.entrypoints.sdk.systems import Systems
from schedora.entrypoints.sdk.views import JobView, WorkflowView, job_view
from schedora.entrypoints.sdk.waiting import Timeout

if TYPE_CHECKING:
    from schedora.entrypoints.system import System


class WorkflowHost(Protocol):
    """What a workflow asks of its app."""

    @property
    def systems(self) -> Systems: ...

    async def wait_workflow(
        self, workflow: "WorkflowRun | WorkflowId", /, timeout: Timeout = None
    ) -> WorkflowView: ...

    def wait_workflow_sync(
        self, workflow: "WorkflowRun | WorkflowId", /, timeout: Timeout = None
    ) -> WorkflowView: ...


@frozen(kw_only=True)
class WorkflowStep:
    """One job of a workflow that is being built; what ``after`` takes."""

    key: str


class Workflow:
    """A workflow that is not submitted yet."""

    def __init__(self, host: WorkflowHost, name: str, *, description: str, config: Mapping[str, Any]) -> None:
        self._host = host
        self._request = WorkflowRequest(name=name, description=description, config=encode_json(dict(config)))
        self._steps: dict[str, Step] = {}
        self._jobs: list[PreparedJob[Any]] = []

    @property
    def name(self) -> str:
        return self._request.name

    def add(
        self,
        job: PreparedJob[Any],
        *,
        key: str | None = None,
        after: WorkflowStep | str | Iterable[WorkflowStep | str] = (),
    ) -> WorkflowStep:
        """Adds a job that runs once all jobs in ``after`` are SUCCESS: one step or several, or their keys.

        Without ``key`` it is called by its type, made unique. Raises ``DuplicateKey``, and ``InvalidField``
        for a job that was prepared for another workflow.
        """
        if isinstance(after, WorkflowStep | str):
            after = (after,)
        if key is None:
            key = self._free_key(job.request.type)
        elif key in self._steps:
            raise DuplicateKey(key)
        if job.request.workflow_id is not None:
            raise InvalidField(
                "workflow_id", str(job.request.workflow_id), "empty for a job of a new workflow"
            )
        causes = tuple(cause.key if isinstance(cause, WorkflowStep) else cause for cause in after)
        self._steps[key] = Step(request=evolve(job.request, key=key), after=causes)
        self._jobs.append(job)
        return WorkflowStep(key=key)

    async def submit(self, *, connection: object = None) -> "WorkflowRun":
        """Stores the whole graph or nothing; with ``connection``, inside the caller's transaction.

        Raises ``NameTaken``, ``CycleFound``, ``UnknownKey``, ``Conflict`` where a job's idempotency key is
        taken, ``TooLarge``, ``Invalid`` and ``StoreUnavailable``.
        """
        connection = shared_connection(self._jobs, connection)
        with submission_span(self._jobs) as trace:
            created = await self._host.systems.use(
                lambda system: self._create(system, connection, trace), here=connection is not None
            )
        return self._run(created)

    def submit_sync(self, *, connection: object = None) -> "WorkflowRun":
        """``submit`` for programs without an event loop."""
        connection = synchronous(shared_connection(self._jobs, connection))
        with submission_span(self._jobs) as trace:
            created = self._host.systems.use_sync(
                lambda system: self._create(system, connection, trace), here=connection is not None
            )
        return self._run(created)

    async def _create(
        self, system: "System", connection: object, trace: TraceContext | None
    ) -> WorkflowCreated:
        bytes_max = system.settings.max_payload_bytes
        check_size("config", self._request.config, bytes_max)
        for key, step in self._steps.items():
            check_size(f"payload of {key}", step.request.payload, bytes_max)
        request = evolve(self._request, steps=tuple(self._steps.values()), trace=trace)
        return await system.create_workflow(request, connection=connection)

    def _run(self, created: WorkflowCreated) -> "WorkflowRun":
        return WorkflowRun(
            host=self._host,
            workflow_id=created.workflow.workflow_id,
            name=created.workflow.name,
            status=created.workflow.status,
            jobs={key: job_view(job) for key, job in zip(self._steps, created.jobs, strict=True)},
        )

    def _free_key(self, job_type: str) -> str:
        key, number = job_type, 1
        while key in self._steps:
            number += 1
            key = f"{job_type}-{number}"
        return key


@frozen(kw_only=True)
class WorkflowRun:
    """A workflow as it was submitted, and its jobs by key."""

    _host: WorkflowHost = field(repr=False, eq=False, alias="host")
    workflow_id: WorkflowId
    name: str
    status: WorkflowState
    jobs: Mapping[str, JobView[Any]] = field(repr=False, hash=False)

    async def wait(self, timeout: Timeout = None) -> WorkflowView:
        """The workflow once it has ended. Raises ``TimeoutError``."""
        return await self._host.wait_workflow(self, timeout=timeout)

    def wait_sync(self, timeout: Timeout = None) -> WorkflowView:
        """``wait`` for programs without an event loop."""
        return self._host.wait_workflow_sync(self, timeout=timeout)
