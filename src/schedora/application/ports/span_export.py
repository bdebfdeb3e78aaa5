"""Spans on their way to a collector."""

from collections.abc import Sequence
from typing import Protocol

from schedora.application.telemetry.request_span import ServedRequest
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.ids import JsonText


class SpanExport(Protocol):
    """Thread-safe; never blocks. What finds no room is lost, and counted."""

    def put_runs(self, settled: Sequence[tuple[ClaimedJob, Completion]]) -> None:
        """The spans of claims that have ended, once the store has accepted that."""
        ...

    def put_request(self, served: ServedRequest) -> None:
        """The span of a request that submitted jobs."""
        ...

    def put_span(self, span: JsonText) -> None:
        """One that has ended, in JSON as OTLP has it."""
        ...

    def __len__(self) -> int:
        """How many runs and spans wait."""
        ...

    def start(self) -> None:
        """Once."""
        ...

    def close(self) -> None:
        """Exports what is left, as far as that goes within a few seconds; blocks meanwhile."""
        ...
