"""Which runs a collector is told of: those whose trace was sampled where it began, and all that failed."""

from collections.abc import Iterable

from schedora.application.ports.span_export import SpanExport
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.trace import is_sampled


def export_runs(export: SpanExport | None, settled: Iterable[tuple[ClaimedJob, Completion]]) -> None:
    """To be called once the store has accepted them. By the batch: nothing is worked out here."""
    if export is None:
        return
    told = [one for one in settled if is_sampled(one[0].traceparent) or one[1].error is not None]
    if told:
        export.put_runs(told)
