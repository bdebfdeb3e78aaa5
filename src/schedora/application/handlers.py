"""The user's functions by job type."""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any

from attrs import frozen

from schedora.application.context import JobContext
from schedora.domain.ids import JsonText

BoundCall = Callable[[JobContext], Any]
"""A handler with its arguments. Returns the result, or an awaitable of it for ``Executor.ASYNC``."""


class Executor(StrEnum):
    ASYNC = "async"
    """On the worker's event loop."""
    THREAD = "thread"
    """In a thread: may block, can't be stopped from outside."""
    PROCESS = "process"
    """In a process of its own: may burn a core, and can be killed."""


class InvalidPayload(Exception):
    """The handler can't take this payload; trying again can't help."""


class DuplicateType(Exception):
    """Two handlers for one job type."""


@frozen(kw_only=True)
class Handler:
    """``bind`` turns an encoded payload into a call and raises ``InvalidPayload`` where it does not fit.

    ``target`` (``module:qualified.name``) is where a child process finds the registered function. What only the
    context tells is not read for a handler that is known not to look at it.
    """

    type: str
    executor: Executor
    bind: Callable[[JsonText], BoundCall]
    target: str = ""
    takes_context: bool = True


class Handlers:
    """A registry. Iterates over the types known."""

    def __init__(self, handlers: Iterable[Handler] = ()) -> None:
        self._by_type: dict[str, Handler] = {}
        for handler in handlers:
            self.add(handler)

    def add(self, handler: Handler) -> None:
        """Raises ``DuplicateType``."""
        if handler.type in self._by_type:
            raise DuplicateType(f"there is already a handler for jobs of type {handler.type!r}")
        self._by_type[handler.type] = handler

    def __getitem__(self, job_type: str) -> Handler:
        return self._by_type[job_type]

    def __contains__(self, job_type: str) -> bool:
        return job_type in self._by_type

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_type)

    def __len__(self) -> int:
        return len(self._by_type)
