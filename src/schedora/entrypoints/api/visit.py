"""One request as the edge sees it: what every route, log line and problem may want to know of it."""

from datetime import datetime
from typing import NamedTuple

from attrs import frozen
from fastapi import Request
from starlette.types import Scope

from schedora.domain.trace import TraceContext

_KEY = "schedora.visit"
_STORED = "schedora.stored"


@frozen(kw_only=True)
class Visit:
    """``trace`` is the caller's, or new; so is ``correlation_id``. ``with_body``: the answer is wanted whole, not its
    headers alone.
    """

    trace: TraceContext
    parent_span_id: str | None = None
    """The caller's."""
    correlation_id: str
    with_body: bool

    def enter(self, scope: Scope) -> None:
        scope[_KEY] = self


class Stored(NamedTuple):
    """What a request has stored: so many jobs, at that time by the store."""

    jobs: int
    at: datetime


def note_stored(request: Request, jobs: int, at: datetime) -> None:
    """For the span of the request, which is the root of their traces."""
    request.scope[_STORED] = Stored(jobs, at)


def stored_by(scope: Scope) -> Stored | None:
    """None for a request that has stored no job."""
    stored: Stored | None = scope.get(_STORED)
    return stored


def visit_of(request: Request | Scope) -> Visit:
    """Of a request, or of its scope."""
    scope = request.scope if isinstance(request, Request) else request
    visit: Visit = scope[_KEY]
    return visit
