"""The decorator that registers job functions, and what it means to type checkers."""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, overload

from schedora.application.context import JobContext
from schedora.application.handlers import Executor, Handler
from schedora.entrypoints.sdk.definition import JobFunction, Submitter
from schedora.entrypoints.sdk.options import JobOptions
from schedora.entrypoints.sdk.signature import Signature

P = ParamSpec("P")
R = TypeVar("R")

ExecutorName = Executor | Literal["async", "thread", "process"]


class JobDecorator(Protocol):
    """Functions with a leading ``JobContext`` and without, asynchronous and not."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[JobContext, P], Coroutine[Any, Any, R]], /
    ) -> JobFunction[P, R, Concatenate[JobContext, P], Coroutine[Any, Any, R]]: ...

    @overload
    def __call__(
        self, function: Callable[Concatenate[JobContext, P], R], /
    ) -> JobFunction[P, R, Concatenate[JobContext, P], R]: ...

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> JobFunction[P, R, P, Coroutine[Any, Any, R]]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> JobFunction[P, R, P, R]: ...


def make_job_function(
    function: Callable[..., Any],
    *,
    job_type: str,
    executor: ExecutorName | None,
    options: JobOptions,
    submitter: Submitter,
    names: dict[str, Any],
) -> JobFunction[..., Any, ..., Any]:
    """Raises ``TypeError`` and ``ValueError`` for a function that can't be a handler of this kind."""
    signature = Signature(job_type, function, names)
    chosen = _executor(function, executor)
    handler = Handler(
        type=job_type,
        executor=chosen,
        bind=signature.bind,
        target=_target(function, chosen),
        takes_context=signature.takes_context,
    )
    return JobFunction(
        submitter=submitter, signature=signature, options=options, handler=handler, function=function
    )


def natural_executor(function: Callable[..., Any]) -> Executor:
    """Where a function runs about which nothing else was said."""
    call = getattr(function, "__call__", None)  # noqa: B004 - an object may be called by a coroutine function
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
    return Executor.ASYNC if is_async else Executor.THREAD


def _executor(function: Callable[..., Any], asked: ExecutorName | None) -> Executor:
    natural = natural_executor(function)
    executor = natural if asked is None else Executor(asked)
    if natural is Executor.ASYNC and executor is Executor.THREAD:
        raise ValueError("a coroutine function runs on the event loop, or in a process, not in a thread")
    if natural is Executor.THREAD and executor is Executor.ASYNC:
        raise ValueError(
            "a plain function runs in a thread or in a process: on the event loop it would block"
        )
    return executor


def _target(function: Callable[..., Any], executor: Executor) -> str:
    """Where a child process finds what the function was decorated to."""
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    if executor is Executor.PROCESS and (not module or not name or "<" in name):
        raise ValueError(f"{name or function!r} can't run in a process: it must stand at the top of a module")
    return f"{module}:{name}"
