"""Completions that go to the store in transactions of their own: those of workflows' jobs, and those of a refused batch."""

from collections.abc import Collection, Sequence

from schedora.application.errors import StoreUnavailable
from schedora.application.log import Logger
from schedora.application.pipeline.complete import Completed, CompleteJobs, in_transactions
from schedora.application.pipeline.completion_buffer import CompletionBuffer
from schedora.application.pipeline.completion_metrics import time_handover
from schedora.application.pipeline.observers import Observers
from schedora.application.pipeline.poll_scheduler import PollScheduler
from schedora.application.pipeline.returned_jobs import ReturnedJobs
from schedora.application.pipeline.store_time import StoreTime
from schedora.application.ports.job_queue import JobQueue, SyncBatch
from schedora.domain.completion import Completion
from schedora.domain.ids import LeaseId

log = Logger("schedora.worker")


class CompletionDelivery:
    def __init__(
        self,
        *,
        queue: JobQueue,
        complete: CompleteJobs,
        completion_buffer: CompletionBuffer,
        observers: Observers,
        returned: ReturnedJobs,
        poll_scheduler: PollScheduler,
        store_time: StoreTime,
    ) -> None:
        self._queue = queue
        self._complete = complete
        self._completion_buffer = completion_buffer
        self._observers = observers
        self._returned = returned
        self._poll_scheduler = poll_scheduler
        self._store_time = store_time

    async def in_workflows(self, completions: Sequence[Completion]) -> None:
        """Completes jobs of workflows. What the store does not answer waits again. Raises ``StoreUnavailable``."""
        try:
            for part in in_transactions(completions):
                try:
                    completed = await self._complete(part)
                except StoreUnavailable:
                    raise
                except Exception as error:  # noqa: BLE001 - each is tried alone, and reports its own error
                    await self.one_by_one(part, error)
                else:
                    self._completed(part, completed)
        finally:
            self._completion_buffer.put_back(completions)
        self._poll_scheduler.hint()  # what was released may be for this worker

    async def one_by_one(self, completions: Sequence[Completion], error: Exception) -> None:
        """Delivers a batch that the store refused with ``error``: one of these is more than it can take, and the others
        must not suffer for it. Raises ``StoreUnavailable``.
        """
        log.warning("a batch of completions was refused", error=type(error).__name__)
        self._poll_scheduler.hint()  # a claim went with it
        try:
            for completion in completions:
                try:
                    completed = await self._deliver(completion)
                except StoreUnavailable:
                    raise
                except Exception as own_error:  # noqa: BLE001 - the completion buffer logs it, or raises it when nothing helps
                    self._completion_buffer.refused(completion, own_error)
                else:
                    self._completed([completion], completed)
        finally:
            self._completion_buffer.put_back(completions)

    def accepted(self, completions: Sequence[Completion], accepted: Collection[LeaseId]) -> None:
        """The store has answered these completions, and has accepted those under ``accepted``."""
        taken = self._completion_buffer.delivered(completions, accepted)
        self._observers.completed(taken, fenced=len(completions) - len(taken))
        time_handover(self._observers.metrics, completions, accepted, self._store_time.now())

    async def _deliver(self, completion: Completion) -> Completed:
        if completion.workflow_id is not None:
            return await self._complete([completion])
        answer = await self._queue.sync(SyncBatch(completions=[completion]))
        return Completed(accepted=answer.accepted)

    def _completed(self, completions: Sequence[Completion], completed: Completed) -> None:
        self.accepted(completions, completed.accepted)
        self._observers.canceled(completed.canceled)
        self._returned.announce(completions, completed.accepted)
