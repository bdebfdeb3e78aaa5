"""From errors to problems: one table, most specific first."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from schedora.application.errors import (
    ApplicationError,
    Conflict,
    Invalid,
    LeaseLost,
    NameTaken,
    NotFound,
    NotJson,
    StoreUnavailable,
    TooLarge,
    WorkerDeclaredLost,
    WorkflowClosed,
)
from schedora.domain.dependency import UpstreamNotRevived
from schedora.domain.errors import DomainError, IllegalMove, InvalidField, InvalidGraph
from schedora.entrypoints.api.body import field_path, in_words
from schedora.entrypoints.api.outage_log import OutageLog
from schedora.entrypoints.api.problems import (
    Problem,
    Refused,
    field_problem,
    invalid,
    shown,
    too_large,
    unavailable,
)
from schedora.entrypoints.api.request_context import request_context_of

INTERNAL = Problem(
    kind="internal",
    status=500,
    detail="The server failed to answer; the trace_id finds the reason in its log.",
)

FILES = frozenset({"GET"})
"""What the files of the documentation allow: they are no routes."""


class CutOff(StoreUnavailable):
    """The time was up: what was asked for may have been done, may yet be done, or may not."""


def conflict(kind: str) -> Callable[[Exception], Problem]:
    return lambda error: Problem(kind=kind, status=409, detail=str(error))


def _invalid_graph(error: InvalidGraph) -> Problem:
    errors = [field_problem("jobs", str(error))]
    return Problem(kind="invalid-graph", status=422, detail=str(error), errors=errors).with_members(
        path=[shown(key) for key in error.path]
    )


def _bad_parameters(error: RequestValidationError) -> Problem:
    return invalid(
        [
            # The first part of a location says where a parameter was found, and the name says that as well.
            field_problem(field_path(p["loc"][1:]), *in_words(p["type"], p["msg"], p["input"]))
            for p in error.errors()
        ]
    )


def _http(error: HTTPException) -> Problem:
    kinds = {404: "not-found", 405: "method-not-allowed", 413: "too-large"}
    kind = kinds.get(error.status_code, "bad-request" if error.status_code < 500 else "internal")
    standard = HTTPStatus(error.status_code).phrase
    return Problem(kind=kind, status=error.status_code, detail=standard, headers=error.headers or {})


# What the store says of its absence may name hosts and users: it goes to the log, not to the caller.
TABLE: Mapping[type[Exception], Callable[[Any], Problem]] = {
    Refused: lambda error: error.problem,
    InvalidField: lambda error: invalid([field_problem(error.field, str(error), error.value)]),
    InvalidGraph: _invalid_graph,
    IllegalMove: conflict("conflict"),
    UpstreamNotRevived: conflict("conflict"),
    NotFound: lambda error: Problem(kind="not-found", status=404, detail=str(error)),
    NameTaken: conflict("name-taken"),
    WorkflowClosed: conflict("workflow-closed"),
    WorkerDeclaredLost: conflict("worker-declared-lost"),
    Conflict: conflict("conflict"),
    Invalid: lambda error: invalid([field_problem(e.field, e.message) for e in error.errors]),
    TooLarge: lambda error: too_large([field_problem(error.field, str(error))]),
    NotJson: lambda error: invalid([field_problem("body", error.reason)]),
    LeaseLost: conflict("conflict"),
    CutOff: lambda _: unavailable(
        "The store did not answer in time. A change may have been made nonetheless: it may be asked for again."
    ),
    StoreUnavailable: lambda _: unavailable("The store can't be reached now; try again soon."),
    RequestValidationError: _bad_parameters,
    HTTPException: _http,
}


def problem_of(error: Exception) -> Problem:
    """What ``error`` means to the caller; an error that is in no row is the server's own."""
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind](error)
    return INTERNAL


ANSWERED = (Refused, DomainError, ApplicationError)
"""What routes raise to be answered as a problem."""


async def answer_problem(request: Request, error: Exception) -> Response:
    trace_id = request_context_of(request).trace.trace_id
    if isinstance(error, StoreUnavailable):
        outage: OutageLog = request.app.state.outage
        outage.refused(error, trace_id=trace_id)
    return problem_of(error).response(trace_id)


def install(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Makes ``app`` answer every error of the table as a problem. ``routes`` are all that it has."""

    async def answer_http(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
            problem = _with_all_methods(routes, request, problem)
        elif problem.status == HTTPStatus.NOT_FOUND:
            problem = Problem(kind="not-found", status=404, detail="Nothing is found at this address.")
        return problem.response(request_context_of(request).trace.trace_id)

    for kind in (*ANSWERED, RequestValidationError):
        app.add_exception_handler(kind, answer_problem)
    app.add_exception_handler(HTTPException, answer_http)


def _with_all_methods(routes: Sequence[BaseRoute], request: Request, problem: Problem) -> Problem:
    """The router names the methods of the first route at an address; there may be others. An address that is written out is
    not meant by one with a parameter: ``/jobs/batch`` is no job.
    """
    here = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    literal = [route for route in here if getattr(route, "path", None) == request.scope["path"]]
    allowed = {
        method for route in literal or here for method in getattr(route, "methods", None) or ()
    } or FILES
    detail = f"{request.method} is not allowed here; allowed: {', '.join(sorted(allowed))}."
    return Problem(
        kind=problem.kind,
        status=problem.status,
        detail=detail,
        headers={"Allow": ", ".join(sorted(allowed))},
    )
