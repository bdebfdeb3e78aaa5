"""What follows from an answer of the store, for each part of the batch that it answers."""

from datetime import timedelta

from schedora.application.pipeline.arrivals import Arrivals
from schedora.application.pipeline.completion_delivery import CompletionDelivery
from schedora.application.pipeline.completion_metrics import time_sync
from schedora.application.pipeline.returned_jobs import ReturnedJobs
from schedora.application.pipeline.start_reports import StartReports
from schedora.application.pipeline.store_time import StoreTime
from schedora.application.ports.clock import Clock
from schedora.application.ports.job_queue import SyncAnswer, SyncBatch
from schedora.application.ports.metrics import Metrics


class Answers:
    def __init__(
        self,
        *,
        store_time: StoreTime,
        completions: CompletionDelivery,
        starts: StartReports,
        arrivals: Arrivals,
        returned: ReturnedJobs,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._store_time = store_time
        self._completions = completions
        self._starts = starts
        self._arrivals = arrivals
        self._returned = returned
        self._metrics = metrics
        self._clock = clock

    def apply(self, batch: SyncBatch, answer: SyncAnswer, *, asked_at: timedelta) -> None:
        """``asked_at`` is when the batch was sent, on the monotonic clock."""
        time_sync(self._metrics, batch, answer, self._clock.monotonic() - asked_at)
        self._store_time.learn(answer.at, asked_at=asked_at)
        self._completions.accepted(batch.completions, answer.accepted)
        self._starts.answered(batch.starts, answer.accepted)
        if batch.claim is not None:
            self._arrivals.claimed(batch.claim, answer)
        # Last: a claim that was answered plans the next one, and may plan it too late for these.
        self._returned.announce(batch.completions, answer.accepted)
