"""Whoever learns what happens to the jobs of a worker: metrics, the log of attempts, event streams, the span collector."""

from collections.abc import Collection

from attrs import Factory, frozen

from schedora.application.pipeline.attempt_log import AttemptLog
from schedora.application.pipeline.completion_metrics import count_canceled, count_completions, count_fenced
from schedora.application.pipeline.publish import publish_completed, publish_moved
from schedora.application.pipeline.traces import export_runs
from schedora.application.ports.events import Events
from schedora.application.ports.metrics import Gauges, Metrics
from schedora.application.ports.span_export import SpanExport
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.job import Job


@frozen(kw_only=True)
class Observers:
    """All are told only what the store has committed, and nothing waits for them."""

    metrics: Metrics
    events: Events
    attempt_log: AttemptLog = Factory(AttemptLog)
    span_export: SpanExport | None = None
    gauges: Gauges | None = None

    def completed(self, accepted: Collection[tuple[ClaimedJob, Completion]], *, fenced: int = 0) -> None:
        """The store has accepted these completions, and refused ``fenced`` others because their leases are gone."""
        count_completions(self.metrics, [completion for _, completion in accepted])
        count_fenced(self.metrics, fenced)
        self.attempt_log.tell(accepted)
        publish_completed(self.events, accepted)
        export_runs(self.span_export, accepted)

    def canceled(self, jobs: Collection[Job]) -> None:
        """The store has canceled these jobs, because what they depend on can no longer succeed."""
        count_canceled(self.metrics, jobs)
        publish_moved(self.events, jobs)
