"""Batches that go to the store, and their answers.

With little to do there is one at a time, and it starts at once. With much to do a second one starts while the store
works on the first, so that the store does not wait while the worker reads one answer and writes the next batch: it
takes completions enough to be worth a transaction, or a claim where the first has none. Completions of workflows' jobs
go beside these, one batch at a time, for they change other jobs, too.
"""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from schedora.application.errors import StoreUnavailable
from schedora.application.pipeline.answers import Answers
from schedora.application.pipeline.batching import Batching, UnderWay
from schedora.application.pipeline.completion_buffer import CompletionBuffer
from schedora.application.pipeline.completion_delivery import CompletionDelivery
from schedora.application.pipeline.store_contact import StoreContact
from schedora.application.ports.clock import Clock
from schedora.application.ports.job_queue import JobQueue, SyncBatch


class StoreSync:
    """The batches of one worker. Sets ``changed`` whenever one has ended."""

    def __init__(
        self,
        *,
        queue: JobQueue,
        batching: Batching,
        answers: Answers,
        delivery: CompletionDelivery,
        completion_buffer: CompletionBuffer,
        contact: StoreContact,
        clock: Clock,
        changed: asyncio.Event,
    ) -> None:
        self._queue = queue
        self._batching = batching
        self._answers = answers
        self._delivery = delivery
        self._completion_buffer = completion_buffer
        self._contact = contact
        self._clock = clock
        self._changed = changed
        self._batches: dict[asyncio.Task[None], UnderWay] = {}
        self._in_workflows: asyncio.Task[None] | None = None
        self._defect: BaseException | None = None

    def start(self) -> bool:
        """Starts what is due; returns whether there was any. Raises what went wrong in an earlier batch, unless it was
        ``StoreUnavailable``, which ``StoreContact`` has noted.
        """
        if self._defect is not None:
            raise self._defect
        started = False
        while self._start_batch():
            started = True
        if self._in_workflows is None and (completions := self._completion_buffer.take_in_workflows()):
            self._in_workflows = self._begin(self._delivery.in_workflows(completions))
            started = True
        return started

    def prompt(self) -> None:
        """Starts a batch that is due, without waiting for ``start``."""
        if self._defect is None:
            self._start_batch()

    @property
    def under_way(self) -> bool:
        return bool(self._tasks())

    @property
    def claims(self) -> bool:
        """Whether a claim is under way."""
        return any(batch.claims for batch in self._batches.values())

    async def ended(self) -> None:
        """Returns once none is under way."""
        while tasks := self._tasks():
            await asyncio.wait(tasks)

    async def abandon(self) -> None:
        """Ends what is under way, wherever it is."""
        for task in self._tasks():
            task.cancel()
        await self.ended()

    def moments(self) -> list[timedelta]:
        """When ``start`` will have something to do, unless something happens before."""
        return self._batching.moments(self._batches.values())

    def _tasks(self) -> list["asyncio.Task[None]"]:
        return [*self._batches, *([] if self._in_workflows is None else [self._in_workflows])]

    def _start_batch(self) -> bool:
        batch = self._batching.next(self._batches.values())
        if batch is None:
            return False
        under_way = UnderWay(claims=batch.claim is not None, starts=bool(batch.starts))
        self._batches[self._begin(self._send(batch))] = under_way
        return True

    def _begin(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        began = self._clock.monotonic()
        task.add_done_callback(lambda task: self._over(task, began))
        return task

    def _over(self, task: "asyncio.Task[None]", began: timedelta) -> None:
        if task is self._in_workflows:
            self._in_workflows = None
        else:
            del self._batches[task]
        error = None if task.cancelled() else task.exception()
        if isinstance(error, StoreUnavailable):
            self._contact.failed(error)
        elif error is not None:
            self._defect = error
        elif not task.cancelled():
            self._contact.answered(began)
        self._changed.set()

    async def _send(self, batch: SyncBatch) -> None:
        asked_at = self._clock.monotonic()
        try:
            answer = await self._queue.sync(batch)
        except (StoreUnavailable, asyncio.CancelledError):
            self._completion_buffer.put_back(batch.completions)
            raise
        except Exception as error:
            if not batch.completions:
                raise
            await self._delivery.one_by_one(batch.completions, error)
            return
        self._answers.apply(batch, answer, asked_at=asked_at)
