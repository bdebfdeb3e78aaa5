"""Inside of which run something happens: what its handler logs and traces carries the run's identity and is kept
with its job.
"""

from contextvars import ContextVar
from datetime import datetime
from typing import Protocol

from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import JsonText


class RunScope(Protocol):
    """Thread-safe: handlers run in threads, too, and start some of their own."""

    @property
    def job(self) -> ClaimedJob: ...

    @property
    def started_at(self) -> datetime: ...

    def leave_line(self, line: JsonText) -> None:
        """Keeps a line of the log, which is a JSON object."""
        ...

    def leave_span(self, span: JsonText) -> None:
        """Keeps a span of the handler's own, which is a JSON object: at once where the job's trace is sampled, else
        if its attempt fails.
        """
        ...


class RunSpans(Protocol):
    """Makes the span of a run's attempt the current one of OpenTelemetry, and keeps its children with the run."""

    def enter(self, scope: RunScope) -> object:
        """From now on, in this context; what it answers is for ``leave``."""
        ...

    def leave(self, entered: object) -> None: ...


current_run: ContextVar[RunScope | None] = ContextVar("schedora_run", default=None)
"""The run that this code belongs to; None outside of handlers."""
