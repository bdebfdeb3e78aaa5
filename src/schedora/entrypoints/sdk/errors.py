"""What can go wrong on the way to the API and back.

::

    SchedoraError               the API refused; ``problem`` tells why
    ├── NotFoundError           404: there is no such thing
    │   └── UnknownEndpoint     and not even such an address: the server is of another version, or is none of Schedora's
    ├── ConflictError           409: the present state forbids it
    ├── ValidationFailed        400, 422: the request breaks rules, each named in ``errors``
    ├── PayloadTooLarge         413
    ├── Unavailable             503, or no answer at all: trying later may help
    └── ServerError             any other failure of the server's
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from attrs import field, frozen

from schedora.application.errors import FieldError


@frozen(kw_only=True)
class Problem:
    """A problem document (RFC 9457). ``members`` is all of it."""

    status: int
    type: str = "about:blank"
    title: str = ""
    detail: str = ""
    errors: tuple[FieldError, ...] = ()
    trace_id: str | None = None
    members: Mapping[str, Any] = field(factory=dict, repr=False)


class SchedoraError(Exception):
    """``problem`` is None where the server did not answer with one."""

    def __init__(self, message: str, problem: Problem | None = None) -> None:
        self.problem = problem
        super().__init__(message)

    @property
    def status(self) -> int | None:
        """The HTTP status; None without an answer."""
        return self.problem.status if self.problem else None


class NotFoundError(SchedoraError):
    pass


class UnknownEndpoint(NotFoundError):
    pass


class ConflictError(SchedoraError):
    pass


class ValidationFailed(SchedoraError):
    @property
    def errors(self) -> tuple[FieldError, ...]:
        """What is wrong, field by field."""
        return self.problem.errors if self.problem else ()


class PayloadTooLarge(SchedoraError):
    pass


class Unavailable(SchedoraError):
    """``retry_after`` is what the server asks for, if it does."""

    def __init__(
        self, message: str, problem: Problem | None = None, *, retry_after: timedelta | None = None
    ) -> None:
        self.retry_after = retry_after
        super().__init__(message, problem)


class ServerError(SchedoraError):
    pass


_BY_STATUS: Mapping[int, type[SchedoraError]] = {
    400: ValidationFailed,
    404: NotFoundError,
    409: ConflictError,
    413: PayloadTooLarge,
    422: ValidationFailed,
}


NOTHING_THERE = frozenset({"", "Not Found", "Nothing is found at this address."})
"""What a 404 says that is about the address: without a word of a server's own, as frameworks say it, and as the API does."""


def error_of(problem: Problem, asked: str, retry_after: timedelta | None) -> SchedoraError:
    """``asked`` is what the server was asked for."""
    if problem.status == 404 and problem.detail in NOTHING_THERE:
        return UnknownEndpoint(f"the server answered 404 Not Found: it knows no {asked}", problem)
    message = problem.detail or f"the server answered {problem.status} {problem.title}".rstrip()
    if problem.status == 503:
        return Unavailable(message, problem, retry_after=retry_after)
    if kind := _BY_STATUS.get(problem.status):
        return kind(message, problem)
    return (ServerError if problem.status >= 500 else SchedoraError)(message, problem)
