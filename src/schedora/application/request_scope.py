"""Inside of which request something happens: what is logged meanwhile carries the request's identity."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Protocol

from schedora.domain.trace import TraceContext


class RequestScope(Protocol):
    @property
    def correlation_id(self) -> str: ...

    @property
    def trace(self) -> TraceContext: ...

    @property
    def subject(self) -> Mapping[str, str]:
        """What the request is about, as far as that is known yet: ``job_id``, ``workflow_id``, ``worker_id``."""
        ...


current_request: ContextVar[RequestScope | None] = ContextVar("schedora_request", default=None)
"""The request that this code answers; None outside of requests."""
