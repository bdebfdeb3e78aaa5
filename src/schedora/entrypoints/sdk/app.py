"""``Schedora``: what Python programs register handlers with, and submit jobs through."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, cast, overload
from uuid import UUID

from schedora.application.encoding import encode_json
from schedora.application.handlers import DuplicateType, Handlers
from schedora.application.log import Logger
from schedora.entrypoints.sdk import builtin
from schedora.entrypoints.sdk.definition import JobFunction, PreparedJob
from schedora.entrypoints.sdk.options import (
    HandlerOptions,
    JobOptions,
    job_id_of,
    request_for,
    workflow_id_of,
)
from schedora.entrypoints.sdk.registration import ExecutorName, JobDecorator, make_job_function
from schedora.entrypoints.sdk.submission import (
    shared_connection,
    submission_span,
    submit_all_prepared,
    submit_prepared,
    synchronous,
)
from schedora.entrypoints.sdk.systems import OwnSystems, Systems
from schedora.entrypoints.sdk.views import JobView, WorkflowView
from schedora.entrypoints.sdk.waiting import (
    Timeout,
    ended_job,
    ended_workflow,
    read_job,
    read_workflow,
)
from schedora.entrypoints.sdk.workflow import Workflow, WorkflowRun

if TYPE_CHECKING:
    from schedora.entrypoints.settings import Settings
    from schedora.entrypoints.system import System

log = Logger("schedora.settings")

R = TypeVar("R")

Connect = Callable[["Settings"], AbstractAsyncContextManager["System"]]
"""Opens a system by its settings, and closes it at the end of the context."""


class Schedora:
    """An application: its job functions, and the way to the jobs.

    Making one does nothing but remember. Settings come from the environment or ``.env``, and what is given
    here wins; they are read, and the database is connected, by the first use. ``async with`` and ``with``
    open at the beginning and close at the end.

    Each method has a twin ending in ``_sync`` for programs without an event loop: same arguments, same
    results, same errors.
    """

    def __init__(
        self,
        *,
        database_url: str | None = None,
        database_direct_url: str | None = None,
        redis_url: str | None = None,
        data_dir: str | Path | None = None,
        connect: Connect | None = None,
    ) -> None:
        """``data_dir`` is where the embedded PostgreSQL keeps its data where no database is named. The direct URL of the
        environment goes with the URL of the environment: it does not lead past a pooler at another one.
        """
        self._overrides = {
            "database_url": database_url,
            "database_direct_url": database_direct_url,
            "redis_url": redis_url,
            "schedora_data_dir": data_dir,
        }
        self._connect = connect or _connect
        self.functions: dict[str, JobFunction[..., Any, ..., Any]] = {}
        """All that is registered, by type."""
        self._builtin: frozenset[str] = frozenset()
        self.systems: Systems = OwnSystems(lambda: self._connect(self.settings))
        """Where the calls of this app go."""
        for name, function in builtin.functions(self._sleep).items():
            self.job(name)(function)
        self._builtin = frozenset(self.functions)

    @cached_property
    def settings(self) -> "Settings":
        """Raises ``WrongSettings``."""
        # How a program samples and exports its own traces is said to its SDK, which may know more ways than Schedora.
        settings = self.settings_with(otel_sdk_disabled=True)
        for doubt in settings.doubts:
            log.warning(doubt)
        return settings

    def settings_with(self, **given: Any) -> "Settings":
        """The settings of this app, and what is given here wins where it is not None. Raises
        ``WrongSettings``.
        """
        from schedora.entrypoints.settings import load_settings  # noqa: PLC0415 - read by the first use

        said = {name: value for name, value in given.items() if value is not None}
        settings = load_settings(**(given := {**self._overrides, **said}))
        if given["database_url"] is not None and given["database_direct_url"] is None:
            return settings.model_copy(update={"database_direct_url": None})
        return settings

    @property
    def handlers(self) -> Handlers:
        """All that is registered, for a worker."""
        return Handlers(function.handler for function in self.functions.values())

    def job(
        self, job_type: str, /, *, executor: ExecutorName | None = None, **options: Unpack[HandlerOptions]
    ) -> JobDecorator:
        """Registers the decorated function as the handler of ``job_type``; the options hold for its jobs.

        ``async def`` runs on the worker's event loop, ``def`` in a thread; ``executor="process"`` runs
        either in a process that can be killed. A first parameter annotated ``JobContext`` gets the context.
        The built-in handlers can be replaced. Raises ``DuplicateType``, ``InvalidField``, ``TypeError`` and
        ``ValueError``.
        """
        template = request_for(job_type, options)
        names = sys._getframe(1).f_locals  # noqa: SLF001 - annotations may name what is local to the caller

        def decorate(function: Callable[..., Any]) -> JobFunction[..., Any, ..., Any]:
            if template.type in self.functions and template.type not in self._builtin:
                raise DuplicateType(f"there is already a handler for jobs of type {job_type!r}")
            made = make_job_function(
                function,
                job_type=job_type,
                executor=executor,
                options=cast("JobOptions", options),
                submitter=self,
                names=dict(names),
            )
            self.functions[job_type] = made
            self._builtin -= {job_type}
            return made

        return cast("JobDecorator", decorate)

    def prepare(
        self, job_type: str, payload: Mapping[str, Any] | None = None, /, **options: Unpack[JobOptions]
    ) -> PreparedJob[Any]:
        """A job of a type whose function need not be known here. Raises ``InvalidField`` and ``NotJson``."""
        request = request_for(job_type, options, payload=encode_json(dict(payload or {})))
        return PreparedJob(request=request, connection=options.get("connection"))

    @overload
    async def submit(self, job: PreparedJob[R], /) -> JobView[R]: ...

    @overload
    async def submit(
        self, job: str, payload: Mapping[str, Any] | None = None, /, **options: Unpack[JobOptions]
    ) -> JobView[Any]: ...

    async def submit(
        self,
        job: PreparedJob[Any] | str,
        payload: Mapping[str, Any] | None = None,
        /,
        **options: Unpack[JobOptions],
    ) -> JobView[Any]:
        """Stores one job: a prepared one, or one of the named type.

        With an idempotency key that is taken it returns the job that has it, ``created`` False. Raises
        ``TooLarge``, ``Invalid``, ``WorkflowClosed`` and ``StoreUnavailable``; then nothing is stored.
        """
        prepared = job if isinstance(job, PreparedJob) else self.prepare(job, payload, **options)
        connection = prepared.connection
        with submission_span([prepared]) as trace:
            return await self.systems.use(
                lambda system: submit_prepared(system, prepared, connection, trace),
                here=connection is not None,
            )

    @overload
    def submit_sync(self, job: PreparedJob[R], /) -> JobView[R]: ...

    @overload
    def submit_sync(
        self, job: str, payload: Mapping[str, Any] | None = None, /, **options: Unpack[JobOptions]
    ) -> JobView[Any]: ...

    def submit_sync(
        self,
        job: PreparedJob[Any] | str,
        payload: Mapping[str, Any] | None = None,
        /,
        **options: Unpack[JobOptions],
    ) -> JobView[Any]:
        """``submit`` for programs without an event loop."""
        prepared = job if isinstance(job, PreparedJob) else self.prepare(job, payload, **options)
        return self.submit_many_sync([prepared])[0]

    async def submit_many(
        self, jobs: Sequence[PreparedJob[R]], *, connection: object = None
    ) -> list[JobView[R]]:
        """Stores all of them or none; answers in the order given.

        ``connection`` is a connection or session of the caller's with a transaction open: the jobs exist if
        and only if that transaction commits. Raises as ``submit``.
        """
        jobs = list(jobs)
        connection = shared_connection(jobs, connection)
        with submission_span(jobs) as trace:
            return await self.systems.use(
                lambda system: submit_all_prepared(system, jobs, connection, trace),
                here=connection is not None,
            )

    def submit_many_sync(
        self, jobs: Sequence[PreparedJob[R]], *, connection: object = None
    ) -> list[JobView[R]]:
        """``submit_many`` for programs without an event loop; a ``connection`` is a synchronous one."""
        jobs = list(jobs)
        connection = synchronous(shared_connection(jobs, connection))
        with submission_span(jobs) as trace:
            return self.systems.use_sync(
                lambda system: submit_all_prepared(system, jobs, connection, trace),
                here=connection is not None,
            )

    @overload
    async def wait(self, job: JobView[R], /, timeout: Timeout = None) -> JobView[R]: ...

    @overload
    async def wait(self, job: UUID | str, /, timeout: Timeout = None) -> JobView[Any]: ...

    async def wait(self, job: JobView[Any] | UUID | str, /, timeout: Timeout = None) -> JobView[Any]:
        """The job once it has ended: SUCCESS, DEAD or CANCELED.

        Raises ``TimeoutError`` when that takes longer than ``timeout`` (seconds or a timedelta), and
        ``NotFound``.
        """
        job_id = job_id_of(job)
        return await self.systems.use(lambda system: ended_job(system, job_id, timeout))

    @overload
    def wait_sync(self, job: JobView[R], /, timeout: Timeout = None) -> JobView[R]: ...

    @overload
    def wait_sync(self, job: UUID | str, /, timeout: Timeout = None) -> JobView[Any]: ...

    def wait_sync(self, job: JobView[Any] | UUID | str, /, timeout: Timeout = None) -> JobView[Any]:
        """``wait`` for programs without an event loop."""
        job_id = job_id_of(job)
        return self.systems.use_sync(lambda system: ended_job(system, job_id, timeout))

    async def get_job(self, job: JobView[Any] | UUID | str, /) -> JobView[Any]:
        """The job as it is now. Raises ``NotFound``."""
        job_id = job_id_of(job)
        return await self.systems.use(lambda system: read_job(system, job_id))

    def get_job_sync(self, job: JobView[Any] | UUID | str, /) -> JobView[Any]:
        """``get_job`` for programs without an event loop."""
        job_id = job_id_of(job)
        return self.systems.use_sync(lambda system: read_job(system, job_id))

    def workflow(
        self, name: str, /, *, description: str = "", config: Mapping[str, Any] | None = None
    ) -> Workflow:
        """A workflow to add jobs to. Raises ``InvalidField`` and ``NotJson``."""
        return Workflow(self, name, description=description, config=config or {})

    async def wait_workflow(
        self, workflow: WorkflowRun | WorkflowView | UUID | str, /, timeout: Timeout = None
    ) -> WorkflowView:
        """The workflow once it has ended, with its jobs. Raises ``TimeoutError`` and ``NotFound``."""
        workflow_id = workflow_id_of(workflow)
        return await self.systems.use(lambda system: ended_workflow(system, workflow_id, timeout))

    def wait_workflow_sync(
        self, workflow: WorkflowRun | WorkflowView | UUID | str, /, timeout: Timeout = None
    ) -> WorkflowView:
        """``wait_workflow`` for programs without an event loop."""
        workflow_id = workflow_id_of(workflow)
        return self.systems.use_sync(lambda system: ended_workflow(system, workflow_id, timeout))

    async def get_workflow(self, workflow: WorkflowRun | WorkflowView | UUID | str, /) -> WorkflowView:
        """The workflow as it is now, with its jobs. Raises ``NotFound``."""
        workflow_id = workflow_id_of(workflow)
        return await self.systems.use(lambda system: read_workflow(system, workflow_id))

    def get_workflow_sync(self, workflow: WorkflowRun | WorkflowView | UUID | str, /) -> WorkflowView:
        """``get_workflow`` for programs without an event loop."""
        workflow_id = workflow_id_of(workflow)
        return self.systems.use_sync(lambda system: read_workflow(system, workflow_id))

    async def _sleep(self, span: timedelta) -> None:
        await self.systems.sleep(span)

    @contextmanager
    def using(self, systems: Systems) -> Iterator[None]:
        """Sends the calls of this app there while the context lasts, as a worker does for its handlers."""
        usual, self.systems = self.systems, systems
        try:
            yield
        finally:
            self.systems = usual

    async def open(self) -> None:
        """Connects now, not at the first use. Raises ``WrongSettings`` and ``StoreUnavailable``."""
        await self.systems.use(_nothing)

    def open_sync(self) -> None:
        """``open`` for programs without an event loop."""
        self.systems.use_sync(_nothing)

    async def close(self) -> None:
        """Disconnects. A later use connects again."""
        await self.systems.close()

    def close_sync(self) -> None:
        """``close`` for programs without an event loop."""
        self.systems.close_sync()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __enter__(self) -> Self:
        self.open_sync()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close_sync()


async def _nothing(_system: "System") -> None:
    """To use a system for nothing is to open it."""


def _connect(settings: "Settings") -> AbstractAsyncContextManager["System"]:
    from schedora.entrypoints.container.connection import connect  # noqa: PLC0415 - dear: drivers and all adapters

    return connect(settings)
