"""What was to be exported."""

from collections.abc import Sequence

from schedora.application.telemetry.request_span import ServedRequest
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.ids import JsonText


class RecordedExport:
    """Port ``SpanExport``. Begins with nothing that waits; ``did`` tells when it was started and closed."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[ClaimedJob, Completion]]] = []
        self.requests: list[ServedRequest] = []
        self.spans: list[JsonText] = []
        self.did: list[str] = []

    @property
    def runs(self) -> list[tuple[ClaimedJob, Completion]]:
        return [run for batch in self.batches for run in batch]

    def put_runs(self, settled: Sequence[tuple[ClaimedJob, Completion]]) -> None:
        self.batches.append(list(settled))

    def put_request(self, served: ServedRequest) -> None:
        self.requests.append(served)

    def put_span(self, span: JsonText) -> None:
        self.spans.append(span)

    def __len__(self) -> int:
        return len(self.runs) + len(self.requests) + len(self.spans)

    def start(self) -> None:
        self.did.append("start")

    def close(self) -> None:
        self.did.append("close")
