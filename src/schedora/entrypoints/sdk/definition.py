"""A job function: what ``@app.job`` makes of a function. It submits jobs, and can still be called."""

import functools
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, Unpack

from attrs import frozen

from schedora.application.handlers import Handler
from schedora.domain.job_request import JobRequest
from schedora.entrypoints.sdk.options import JobOptions, request_for
from schedora.entrypoints.sdk.signature import Signature
from schedora.entrypoints.sdk.systems import Systems
from schedora.entrypoints.sdk.views import JobView

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Q = ParamSpec("Q")
T_co = TypeVar("T_co", covariant=True)


@frozen(kw_only=True)
class PreparedJob(Generic[R_co]):
    """A job that is not submitted yet. Each submission of it makes a job of its own, unless it carries an
    idempotency key.
    """

    request: JobRequest
    connection: object = None


class Submitter(Protocol):
    """What a job function asks of its app."""

    systems: Systems

    async def submit(self, job: PreparedJob[R], /) -> JobView[R]: ...

    def submit_sync(self, job: PreparedJob[R], /) -> JobView[R]: ...


class JobDefinition(Generic[P, R]):
    """Makes jobs of one type. ``P`` are the arguments of the function, its context apart; ``R`` its result."""

    def __init__(
        self, *, submitter: Submitter, signature: Signature, template: JobRequest, options: JobOptions
    ) -> None:
        self.submitter = submitter
        """The app that it was registered with."""
        self._signature = signature
        self._template = template
        self._options = options

    @property
    def type(self) -> str:
        return self._template.type

    def prepare(self, /, *args: P.args, **kwargs: P.kwargs) -> PreparedJob[R]:
        """A job for ``app.submit_many`` or a workflow. Raises ``InvalidArguments`` and ``NotJson``."""
        payload = self._signature.encode(args, kwargs)
        return PreparedJob(
            request=self._template.with_payload(payload), connection=self._options.get("connection")
        )

    async def submit(self, /, *args: P.args, **kwargs: P.kwargs) -> JobView[R]:
        """Stores a job that will call the function with these arguments.

        With an idempotency key that is taken it returns the job that has it. Raises ``InvalidArguments``,
        ``NotJson``, ``TooLarge``, ``Invalid``, ``WorkflowClosed`` and ``StoreUnavailable``; then nothing is
        stored.
        """
        return await self.submitter.submit(self.prepare(*args, **kwargs))

    def submit_sync(self, /, *args: P.args, **kwargs: P.kwargs) -> JobView[R]:
        """``submit`` for programs without an event loop."""
        return self.submitter.submit_sync(self.prepare(*args, **kwargs))

    def with_options(self, /, **options: Unpack[JobOptions]) -> "JobDefinition[P, R]":
        """The same with other options; those not named stay as they are. Raises ``InvalidField``."""
        merged = JobOptions(**{**self._options, **options})
        return JobDefinition(
            submitter=self.submitter,
            signature=self._signature,
            template=request_for(self.type, merged),
            options=merged,
        )

    def __repr__(self) -> str:
        return f"<job {self.type!r}>"


class JobFunction(JobDefinition[P, R], Generic[P, R, Q, T_co]):
    """A registered function. Calling it runs it here and now, as if it had never been decorated."""

    def __init__(
        self,
        *,
        submitter: Submitter,
        signature: Signature,
        options: JobOptions,
        handler: Handler,
        function: Callable[Q, T_co],
    ) -> None:
        super().__init__(
            submitter=submitter,
            signature=signature,
            template=request_for(handler.type, options),
            options=options,
        )
        self.handler = handler
        self.function: Callable[Q, Any] = function
        functools.update_wrapper(self, function)

    def __call__(self, /, *args: Q.args, **kwargs: Q.kwargs) -> T_co:
        result: T_co = self.function(*args, **kwargs)
        return result
