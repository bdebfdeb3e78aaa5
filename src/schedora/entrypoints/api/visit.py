"""One request as the edge sees it: what every route, log line and problem may want to know of it."""

from attrs import frozen
from fastapi import Request
from starlette.types import Scope

from schedora.domain.trace import TraceContext

_KEY = "schedora.visit"


@frozen(kw_only=True)
class Visit:
    """``trace`` is the caller's, or new; so is ``correlation_id``."""

    trace: TraceContext
    correlation_id: str

    def enter(self, scope: Scope) -> None:
        scope[_KEY] = self


def visit_of(request: Request) -> Visit:
    visit: Visit = request.scope[_KEY]
    return visit
