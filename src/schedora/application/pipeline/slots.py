"""The jobs at hand: those that run, one a slot, and those that wait in a buffer for a slot.

Nothing here talks to the store. Outcomes are handed on as they come; the worker delivers them in batches.

A task runs one job after the other while its handlers end without waiting for anything: making a task costs more
than a short handler does. What a handler may leave behind in its task, context variables or a cancellation, ends
the task with it, so that no job sees traces of another.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import attrs

from schedora.application.handlers import Executor, Handlers
from schedora.application.log import Logger
from schedora.application.pipeline.claim import BUFFER_AGE_MAX
from schedora.application.pipeline.execute import Execute, failed, stopped
from schedora.application.pipeline.run import Run, StopReason
from schedora.application.pipeline.run_log_flusher import LiveRunLog
from schedora.application.pipeline.store_time import StoreTime
from schedora.application.pipeline.suspects import Suspects
from schedora.application.ports.clock import Clock
from schedora.application.run_scope import RunSpans, current_run
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.ids import JsonText, LeaseId
from schedora.domain.outcome import Failed, Outcome, Released, TimedOut

log = Logger("schedora.worker")

GRACE = timedelta(seconds=5)
"""How long a handler that was asked to stop may clean up before its job goes on without it."""

SLICE = timedelta(milliseconds=1)
"""How long handlers that wait for nothing may keep the event loop between two looks at what else has happened."""

NO_ROOM = "its worker has no room for it"
NO_HANDLER = "its worker has no handler for it"

OnOutcome = Callable[[ClaimedJob, Run | None, Outcome, timedelta], None]
"""Told of each outcome, with its run unless the job never ran, and the moment on the monotonic clock."""


class Slots:
    def __init__(
        self,
        *,
        count: int,
        worker_deaths_max: int,
        handlers: Handlers,
        execute: Execute,
        clock: Clock,
        store_time: StoreTime,
        on_outcome: OnOutcome,
        on_change: Callable[[], None],
        complete_in: Callable[[Run, object, JsonText], Awaitable[None]],
        on_run_log: Callable[[LiveRunLog], None],
        on_span: Callable[[JsonText], None] | None = None,
        run_spans: RunSpans | None = None,
    ) -> None:
        self.count = count
        self._buffer: deque[tuple[timedelta, ClaimedJob]] = deque()
        self._suspects = Suspects(worker_deaths_max=worker_deaths_max)
        self.runs: dict[LeaseId, Run] = {}
        self._untold: dict[LeaseId, Run] = {}
        self.durations: list[timedelta] = []
        """How long the runs took that ended since this list was last emptied."""
        self.unlocked: list[Run] = []
        """Runs with a lock that were settled since this list was last emptied."""
        self._handlers = handlers
        self._execute = execute
        self._clock = clock
        self._store_time = store_time
        self._on_outcome = on_outcome
        self._on_change = on_change
        self.complete_in = complete_in
        self._on_run_log = on_run_log
        self._on_span = on_span
        self._run_spans = run_spans
        self._next_deadline: timedelta | None = None
        self.loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        """What every handler finds: that of whoever made this."""
        self._slice_end = clock.monotonic()
        self._last: asyncio.Task[Any] | None = None
        """The task started last: it goes on with what waits."""
        self._fill_is_due = False

    @property
    def free(self) -> int:
        return max(0, self.count - len(self.runs) - self._suspects.called)

    @property
    def buffered(self) -> int:
        """How many jobs wait for a slot. Suspects that wait for one another leave the free slots to others,
        unless there are so many that no more should be taken.
        """
        waiting = len(self._suspects) - self._suspects.called
        return len(self._buffer) + (waiting if not self.free or waiting >= self.count else 0)

    @property
    def next_deadline(self) -> timedelta | None:
        """When ``enforce_deadlines`` has something to do next, on the monotonic clock."""
        deadlines = [self._next_deadline] if self._next_deadline is not None else []
        if (waiting_since := self._waiting_since) is not None:
            deadlines.append(waiting_since + BUFFER_AGE_MAX)
        return min(deadlines, default=None)

    @property
    def _waiting_since(self) -> timedelta | None:
        suspects_since = self._suspects.oldest
        if not self._buffer:
            return suspects_since
        return self._buffer[0][0] if suspects_since is None else min(self._buffer[0][0], suspects_since)

    @property
    def untold(self) -> list[Run]:
        """Runs of which the store has yet to learn: that they started, or how far they are.

        Those that completed in a transaction of their handler's are in that transaction's hands.
        """
        return [run for run in self._untold.values() if run.written is None]

    def told(self, run: Run, progress: JsonText | None) -> None:
        """The store knows that the run has started, and this report of progress."""
        if not run.recorded:
            run.job = attrs.evolve(run.job, started_at=run.started_at)
        if run.progress == progress:
            run.progress = None
            self._untold.pop(run.job.lease_id, None)

    def take(self, jobs: Collection[ClaimedJob]) -> None:
        """Starts what has a slot, in the order given, and buffers the rest; suspects wait to be called. What has no
        handler here goes back: nobody asked for it.
        """
        now = self._clock.monotonic()
        for job in jobs:
            if job.type not in self._handlers:
                self.release(job, NO_HANDLER)
            elif job.suspect and job.started_at is None:
                self._suspects.add(job, now)
            else:
                self._buffer.append((now, job))
        self.fill()

    def fill(self) -> None:
        """Gives each free slot the next job that waits, in a task of its own."""
        self._fill_is_due = False
        if not self._buffer or self.free <= 0:
            return
        now = self._clock.monotonic()
        self._slice_end = now + SLICE
        while self._buffer and self.free > 0:
            self._start(self._buffer.popleft()[1], now)

    def call_suspects(self) -> list[ClaimedJob]:
        """Those whose start is to be recorded now: a slot is kept for each until ``start_suspect``."""
        if not self._suspects:
            return []
        return self._suspects.call(self.free, [run.job for run in self.runs.values()])

    def start_of_suspect(self, job: ClaimedJob, now: datetime) -> datetime:
        """What is to be recorded as its start: the same each time that this is tried."""
        return self._suspects.start_of(job.lease_id, now)

    def start_suspect(self, lease_id: LeaseId, started_at: datetime) -> ClaimedJob | None:
        """Its start is on record. Nothing happens, and None is answered, when it is not at hand any more."""
        if (suspect := self._suspects.take(lease_id)) is None:
            return None
        job = attrs.evolve(suspect, started_at=started_at)
        self._start(job, self._clock.monotonic())
        return job

    def release_buffer(self, reason: str) -> None:
        """Gives up what waits for a slot."""
        waiting = [*(job for _, job in self._buffer), *self._suspects.take_all()]
        self._buffer.clear()
        for job in waiting:
            self.release(job, reason)

    def release(self, job: ClaimedJob, reason: str) -> None:
        """Gives up a job that never came into a slot."""
        self._on_outcome(job, None, Released(reason=reason), self._clock.monotonic())

    def lose(self, leases: Collection[LeaseId]) -> None:
        """Stops the runs under leases that are gone, and forgets buffered jobs; no outcome counts any more."""
        lost = set(leases)
        self._buffer = deque(entry for entry in self._buffer if entry[1].lease_id not in lost)
        for lease_id in lost & self._suspects.leases:
            self._suspects.take(lease_id)
        for lease_id in lost & self.runs.keys():
            run = self.runs[lease_id]
            if not run.settled and run.written is None:
                self._settle(run, None, self._clock.monotonic())
                run.stop(StopReason.LEASE_LOST)
                run.give_up_at = self._clock.monotonic() + GRACE
                log.warning("lease lost, handler stopped", job_id=str(run.job.job_id), job_type=run.job.type)

    def stop_all(self, reason: StopReason) -> None:
        """Asks every run to end; those that can't be stopped are settled at once. Nothing that waits for a slot
        starts any more.
        """
        self._buffer.clear()
        for run in list(self.runs.values()):
            self._stop(run, reason)

    def held(self) -> set[LeaseId]:
        """The leases whose jobs are at hand and not settled."""
        running = {lease_id for lease_id, run in self.runs.items() if not run.settled}
        return running | {job.lease_id for _, job in self._buffer} | self._suspects.leases

    @property
    def busy(self) -> bool:
        """Whether any job is at hand."""
        return bool(self.runs or self._buffer or self._suspects)

    @property
    def unsettled(self) -> int:
        return sum(not run.settled for run in self.runs.values())

    def stuck(self) -> list[Run]:
        """Those whose handler was asked to stop, has had its grace, and goes on: each keeps its slot, though its job is
        settled. May be asked from any thread.
        """
        now = self._clock.monotonic()
        return [
            run
            for run in list(self.runs.values())
            if run.settled and run.give_up_at is not None and now >= run.give_up_at
        ]

    def stuck_threads(self) -> int:
        """How many of those are threads, which nothing can end but the end of the process."""
        return sum(not run.stoppable for run in self.stuck())

    def enforce_deadlines(self) -> None:
        """Stops what has run for too long, settles what does not stop, releases what waits too long."""
        deadline = self.next_deadline
        now = self._clock.monotonic()
        if deadline is None or now < deadline:
            return
        self._release_late(now - BUFFER_AGE_MAX)
        for run in list(self.runs.values()):
            if run.settled:
                continue
            if run.stop_reason is None and now >= run.deadline:
                self._stop(run, StopReason.TIMED_OUT)
            elif run.give_up_at is not None and now >= run.give_up_at:
                log.error("handler does not stop; its job goes on without it", job_id=str(run.job.job_id))
                self._settle(run, stopped(run), now)
        pending = [run.give_up_at or run.deadline for run in self.runs.values() if not run.settled]
        self._next_deadline = min(pending, default=None)

    def _release_late(self, moment: timedelta) -> None:
        """Gives up what has had no slot since ``moment``: another worker may have room."""
        late = self._suspects.take_waiting_since(moment)
        if self._buffer and self._buffer[0][0] <= moment:
            # Jobs take longer than was thought when these were claimed.
            self.durations += [self._clock.monotonic() - run.began for run in self.runs.values()]
        while self._buffer and self._buffer[0][0] <= moment:
            late.append(self._buffer.popleft()[1])
        for job in late:
            self.release(job, NO_ROOM)

    def reported(self, run: Run, progress: JsonText) -> None:
        """Notes how far a run is."""
        if not run.settled:
            run.progress = progress
            self._untold[run.job.lease_id] = run
            self._on_change()

    def _start(self, job: ClaimedJob, now: timedelta) -> None:
        run = self._begin(job, now)
        run.task = self._last = self.loop.create_task(self._serve(run), context=self._context.copy())
        run.task.add_done_callback(partial(self._left, run))

    def _begin(self, job: ClaimedJob, now: timedelta) -> Run:
        run = Run(
            job,
            started_at=job.started_at or self._store_time.at(now),
            began=now,
            on_run_log=self._on_run_log,
            on_span=self._on_span,
        )
        run.stoppable = self._handlers[job.type].executor is not Executor.THREAD
        self.runs[job.lease_id] = run
        if not run.recorded:
            self._untold[job.lease_id] = run
        deadline = run.deadline
        if self._next_deadline is None or deadline < self._next_deadline:
            self._next_deadline = deadline
        return run

    async def _serve(self, run: Run) -> None:
        """One slot at work: this run, and what waits after it as long as this task may go on."""
        task = run.task
        while True:
            outcome = await self._outcome(run)
            now = self._clock.monotonic()
            self._end(run, outcome, now)
            if not self._goes_on(task, run, now):
                return
            run = self._begin(self._buffer.popleft()[1], now)
            run.task = task

    async def _outcome(self, run: Run) -> Outcome | None:
        token = current_run.set(run)
        entered = None if self._run_spans is None else self._run_spans.enter(run)
        try:
            return await self._execute(run, self._handlers[run.job.type], Link(run, self))
        except Exception as error:  # noqa: BLE001 - its job fails, and not the worker
            return _defect(run, error)
        finally:
            if self._run_spans is not None:
                self._run_spans.leave(entered)
            current_run.reset(token)

    def _goes_on(self, task: "asyncio.Task[Any] | None", run: Run, now: timedelta) -> bool:
        """Whether the task of a run that has ended may take the next job."""
        return (
            task is self._last
            and now < self._slice_end
            and bool(self._buffer)
            and self.free > 0
            and run.stop_reason is None
            and task is not None
            and not task.cancelling()
            and _same(contextvars.copy_context(), self._context)
        )

    def _stop(self, run: Run, reason: StopReason) -> None:
        if run.settled or run.stop_reason is not None:
            return
        run.stop(reason)
        run.give_up_at = self._clock.monotonic() + GRACE
        if run.stoppable:
            if self._next_deadline is None or run.give_up_at < self._next_deadline:
                self._next_deadline = run.give_up_at
        else:
            job = run.job
            log.warning(
                "a thread can't be stopped; its job goes on without it",
                job_id=str(job.job_id),
                job_type=job.type,
            )
            self._settle(run, stopped(run), self._clock.monotonic())

    def _end(self, run: Run, outcome: Outcome | None, now: timedelta) -> None:
        """The handler has ended, one way or the other: its slot is free."""
        del self.runs[run.job.lease_id]
        if not run.settled:
            self.durations.append(now - run.began)
            self._settle(run, outcome, now)
        if self._buffer and not self._fill_is_due:
            # Soon, and not now: one after the other, with a look at what else has happened in between.
            self._fill_is_due = True
            self.loop.call_soon(self.fill)
        self._on_change()

    def _left(self, first: Run, _task: "asyncio.Task[None]") -> None:
        """A task has ended: before its first step, if the run that it was made for is still there."""
        if self.runs.get(first.job.lease_id) is first:
            self._end(first, stopped(first), self._clock.monotonic())

    def _settle(self, run: Run, outcome: Outcome | None, now: timedelta) -> None:
        run.settled = True
        self._untold.pop(run.job.lease_id, None)
        if run.locked:
            self.unlocked.append(run)
        if run.held_spans is not None and isinstance(outcome, Failed | TimedOut):
            run.keep_held_spans()
        if outcome is not None:
            self._on_outcome(run.job, run, outcome, now)


def _defect(run: Run, error: Exception) -> Outcome:
    if run.stop_reason is StopReason.TIMED_OUT:
        return TimedOut(timeout=run.job.timeout)
    log.error("a run failed outside of its handler", job_id=str(run.job.job_id), exc_info=error)
    return failed(error)


class Link:
    """By what a handler's context reaches the worker."""

    __slots__ = ("_run", "_slots")

    def __init__(self, run: Run, slots: Slots) -> None:
        self._run = run
        self._slots = slots

    @property
    def cancelled(self) -> bool:
        return self._run.cancelled

    def report(self, progress: JsonText) -> None:
        self._slots.loop.call_soon_threadsafe(self._slots.reported, self._run, progress)

    def written(self, completion: Completion, released: AbstractSet[str]) -> None:
        self._run.written = completion
        self._run.released = released

    def leave_line(self, line: JsonText) -> None:
        self._run.leave_line(line)

    def leave_span(self, span: JsonText) -> None:
        self._run.leave_span(span)

    async def complete_in(self, connection: object, result: JsonText) -> None:
        await self._slots.complete_in(self._run, connection, result)


def _same(context: contextvars.Context, other: contextvars.Context) -> bool:
    """Whether the variables have the same values in both."""
    try:
        return context == other
    except Exception:  # noqa: BLE001 - it compares values of the user's, in whatever way they have
        return False
