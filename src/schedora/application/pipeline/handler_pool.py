"""The pool of running handlers: gives each job a slot, or a place in the buffer until one is free.

Nothing here talks to the store: claimed jobs come in, outcomes go out.

A task runs one job after the other while its handlers end without waiting for anything: making a task costs more
than a short handler does. What a handler may leave behind in its task, context variables or a cancellation, ends
the task with it, so that no job sees traces of another.
"""

import asyncio
import contextvars
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import attrs

from schedora.application.handlers import Executor, Handlers
from schedora.application.pipeline.claim import BUFFER_AGE_MAX
from schedora.application.pipeline.complete_in_transaction import CompleteInTransaction
from schedora.application.pipeline.execute import Execute, stopped
from schedora.application.pipeline.outcomes import Outcomes
from schedora.application.pipeline.prefetch_buffer import PrefetchBuffer
from schedora.application.pipeline.run import Run, StopReason
from schedora.application.pipeline.run_link import Link
from schedora.application.pipeline.runs import Runs
from schedora.application.ports.clock import Clock
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import LeaseId
from schedora.domain.outcome import Outcome, Released

SLICE = timedelta(milliseconds=1)
"""How long handlers that wait for nothing may keep the event loop between two looks at what else has happened."""

NO_ROOM = "its worker has no room for it"
NO_HANDLER = "its worker has no handler for it"


class HandlerPool:
    """``count`` handlers run at once."""

    def __init__(
        self,
        *,
        count: int,
        handlers: Handlers,
        execute: Execute,
        runs: Runs,
        waiting: PrefetchBuffer,
        outcomes: Outcomes,
        complete_in_transaction: CompleteInTransaction,
        clock: Clock,
    ) -> None:
        self.count = count
        self.runs = runs
        self._waiting = waiting
        self._suspects = waiting.suspects
        self._outcomes = outcomes
        self._handlers = handlers
        self._execute = execute
        self._complete_in_transaction = complete_in_transaction
        self._clock = clock
        self._context = contextvars.copy_context()
        """What every handler finds: the context in which the pool was made."""
        self._slice_end = clock.monotonic()
        self._last: asyncio.Task[Any] | None = None
        """The task started last: it takes the next jobs that wait."""
        self._fill_is_due = False

    @property
    def free(self) -> int:
        return max(0, self.count - len(self.runs.running) - self._suspects.called)

    @property
    def buffered(self) -> int:
        """How many jobs wait for a slot. Suspects that wait for one another leave the free slots to others,
        unless there are so many that no more should be taken.
        """
        waiting = len(self._suspects) - self._suspects.called
        return self._waiting.ready + (waiting if not self.free or waiting >= self.count else 0)

    @property
    def busy(self) -> bool:
        """Whether any job is at hand."""
        return bool(self.runs.running or self._waiting.ready or self._suspects)

    @property
    def next_deadline(self) -> timedelta | None:
        """When ``enforce_deadlines`` has something to do next, on the monotonic clock."""
        deadlines = [self.runs.next_deadline] if self.runs.next_deadline is not None else []
        if (waiting_since := self._waiting.waiting_since) is not None:
            deadlines.append(waiting_since + BUFFER_AGE_MAX)
        return min(deadlines, default=None)

    def held(self) -> set[LeaseId]:
        """The leases whose jobs are at hand and not settled."""
        return self.runs.held() | self._waiting.leases()

    def take(self, jobs: Collection[ClaimedJob]) -> None:
        """Starts what has a slot, in the order given, and buffers the rest; suspects wait to be called. A job without a
        handler here is released: nobody asked for it.
        """
        now = self._clock.monotonic()
        for job in jobs:
            if job.type in self._handlers:
                self._waiting.add(job, now)
            else:
                self.release(job, NO_HANDLER)
        self.fill()

    def fill(self) -> None:
        """Gives each free slot the next job that waits, in a task of its own, unless there is no room for outcomes."""
        self._fill_is_due = False
        if not self._waiting.ready or self.free <= 0:
            return
        now = self._clock.monotonic()
        self._slice_end = now + SLICE
        while self._waiting.ready and self.free > 0 and not self._outcomes.full:
            self._start(self._waiting.take(), now)

    def call_suspects(self) -> list[ClaimedJob]:
        """Those whose start is to be recorded now: a slot is kept for each until ``start_suspect``."""
        if not self._suspects:
            return []
        return self._suspects.call(self.free, [run.job for run in self.runs.running.values()])

    def start_of_suspect(self, job: ClaimedJob, now: datetime) -> datetime:
        """What is to be recorded as its start: the same each time that this is tried."""
        return self._suspects.start_of(job.lease_id, now)

    def start_suspect(self, lease_id: LeaseId, started_at: datetime) -> ClaimedJob | None:
        """Runs a suspect whose start is on record. Does nothing and returns None if it is not at hand any more."""
        if (suspect := self._suspects.take(lease_id)) is None:
            return None
        job = attrs.evolve(suspect, started_at=started_at)
        self._start(job, self._clock.monotonic())
        return job

    def release(self, job: ClaimedJob, reason: str) -> None:
        """Gives up a job that never had a slot."""
        self._outcomes.put(job, None, Released(reason=reason), self._clock.monotonic())

    def release_buffer(self, reason: str) -> None:
        """Gives up what waits for a slot."""
        for job in self._waiting.take_all():
            self.release(job, reason)

    def lose(self, leases: Collection[LeaseId]) -> None:
        """Stops the runs under leases that are gone, and forgets buffered jobs; no outcome counts any more."""
        lost = set(leases)
        self._waiting.forget(lost)
        self.runs.lose(lost)

    def stop_all(self, reason: StopReason) -> None:
        """Asks every run to end. Nothing that waits for a slot starts any more."""
        self._waiting.forget_ready()
        self.runs.stop_all(reason)

    def enforce_deadlines(self) -> None:
        """Stops what has run for too long, settles what does not stop, releases what waits too long."""
        deadline = self.next_deadline
        now = self._clock.monotonic()
        if deadline is None or now < deadline:
            return
        self._release_late(now)
        self.runs.enforce_deadlines(now)

    def _release_late(self, now: timedelta) -> None:
        """Gives up what has had no slot for ``BUFFER_AGE_MAX``: another worker may have room."""
        moment = now - BUFFER_AGE_MAX
        if self._waiting.has_waited_since(moment):
            # Jobs take longer than was thought when these were claimed.
            self.runs.durations += [now - run.began for run in self.runs.running.values()]
        for job in self._waiting.take_waiting_since(moment):
            self.release(job, NO_ROOM)

    def _start(self, job: ClaimedJob, now: timedelta) -> None:
        run = self._begin(job, now)
        run.task = self._last = self.runs.loop.create_task(self._serve(run), context=self._context.copy())
        run.task.add_done_callback(partial(self._left, run))

    def _begin(self, job: ClaimedJob, now: timedelta) -> Run:
        stoppable = self._handlers[job.type].executor is not Executor.THREAD
        return self.runs.begin(job, now, stoppable=stoppable)

    async def _serve(self, run: Run) -> None:
        """One slot at work: this run, and what waits after it as long as this task may continue."""
        task = run.task
        while True:
            link = Link(run, runs=self.runs, complete=self._complete_in_transaction)
            outcome = await self._execute(run, self._handlers[run.job.type], link)
            now = self._clock.monotonic()
            self._end(run, outcome, now)
            if not self._continues(task, run, now):
                return
            run = self._begin(self._waiting.take(), now)
            run.task = task

    def _continues(self, task: "asyncio.Task[Any] | None", run: Run, now: timedelta) -> bool:
        """Whether the task of a run that has ended may take the next job."""
        return (
            task is self._last
            and now < self._slice_end
            and self._waiting.ready > 0
            and self.free > 0
            and not self._outcomes.full
            and run.stop_reason is None
            and task is not None
            and not task.cancelling()
            and _same(contextvars.copy_context(), self._context)
        )

    def _end(self, run: Run, outcome: Outcome | None, now: timedelta) -> None:
        self.runs.end(run, outcome, now)
        if self._waiting.ready and not self._fill_is_due:
            # Soon, and not now: one after the other, with a look at what else has happened in between.
            self._fill_is_due = True
            self.runs.loop.call_soon(self.fill)

    def _left(self, first: Run, _task: "asyncio.Task[None]") -> None:
        """A task has ended: before its first step, if the run that it was made for is still there."""
        if self.runs.running.get(first.job.lease_id) is first:
            self._end(first, stopped(first), self._clock.monotonic())


def _same(context: contextvars.Context, other: contextvars.Context) -> bool:
    """Whether the variables have the same values in both."""
    try:
        return context == other
    except Exception:  # noqa: BLE001 - it compares values of the user's, in whatever way they have
        return False
