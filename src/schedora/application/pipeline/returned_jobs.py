"""Jobs that wait in their queues again, because a completion retries, snoozes or releases them."""

from collections.abc import Collection, Iterable
from datetime import timedelta

from schedora.application.pipeline.poll_scheduler import PollScheduler
from schedora.application.pipeline.store_time import StoreTime
from schedora.application.ports.clock import Clock
from schedora.application.ports.wakeup import Wakeup
from schedora.domain.completion import Completion
from schedora.domain.ids import LeaseId
from schedora.domain.job_state import WAITING


class ReturnedJobs:
    def __init__(
        self, *, poll_scheduler: PollScheduler, store_time: StoreTime, wakeup: Wakeup, clock: Clock
    ) -> None:
        self._poll_scheduler = poll_scheduler
        self._store_time = store_time
        self._wakeup = wakeup
        self._clock = clock

    def announce(self, completions: Iterable[Completion], accepted: Collection[LeaseId]) -> None:
        """Notifies other workers of those among ``accepted``, and plans a claim for when they fall due."""
        waiting = [c for c in completions if c.status in WAITING and c.lease_id in accepted]
        for completion in waiting:
            due_in = (completion.scheduled_at or completion.ended_at) - self._store_time.now()
            self._poll_scheduler.due_at(self._clock.monotonic() + max(due_in, timedelta(0)))
        if waiting:
            self._wakeup.notify(
                queues={completion.queue for completion in waiting},
                later=all(completion.scheduled_at is not None for completion in waiting),
            )
