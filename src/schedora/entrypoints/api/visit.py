"""One request as the edge sees it: what every route, log line and problem may want to know of it."""

from attrs import frozen
from fastapi import Request
from starlette.types import Scope

from schedora.domain.trace import TraceContext

_KEY = "schedora.visit"


@frozen(kw_only=True)
class Visit:
    """``trace`` is the caller's, or new; so is ``correlation_id``. ``with_body``: the answer is wanted whole, not its
    headers alone.
    """

    trace: TraceContext
    correlation_id: str
    with_body: bool

    def enter(self, scope: Scope) -> None:
        scope[_KEY] = self


def visit_of(request: Request | Scope) -> Visit:
    """Of a request, or of its scope."""
    scope = request.scope if isinstance(request, Request) else request
    visit: Visit = scope[_KEY]
    return visit
