"""One job in a slot, from its start to the end of its handler."""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from enum import Enum
from threading import Lock
from typing import Any

from schedora.application.pipeline.run_log_flusher import LiveRunLog
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.ids import JsonText
from schedora.domain.trace import is_sampled

_BEGINNING = Lock()
"""Two threads of one run may both leave its first line."""


class StopReason(Enum):
    TIMED_OUT = "timed out"
    LEASE_LOST = "lease lost"
    DRAINED = "drained"


class Run:
    """What the worker knows of a running job. ``began`` is on the monotonic clock, ``started_at`` on the
    store's.
    """

    __slots__ = (
        "__weakref__",
        "_on_run_log",
        "_on_span",
        "began",
        "give_up_at",
        "held_spans",
        "job",
        "locked",
        "progress",
        "released",
        "run_log",
        "settled",
        "started_at",
        "stop_reason",
        "stoppable",
        "task",
        "written",
    )  # fmt: skip

    def __init__(
        self,
        job: ClaimedJob,
        *,
        started_at: datetime,
        began: timedelta,
        on_run_log: Callable[[LiveRunLog], None] | None = None,
        on_span: Callable[[JsonText], None] | None = None,
    ) -> None:
        """``on_run_log`` is told whenever the run has left something; without it, nothing is kept. ``on_span`` is given
        each span that is kept.
        """
        self.job = job
        self.started_at = started_at
        self.began = began
        self.locked = False
        """Whether it has lasted for long enough to hold a lock."""
        self.stop_reason: StopReason | None = None
        self.stoppable = True
        """Whether ``stop`` can end the handler: not so in a thread."""
        self.settled = False
        """Whether an outcome was decided; a run can be settled while its handler refuses to end."""
        self.written: Completion | None = None
        """What the handler completed the job with inside its own transaction, which may commit or not."""
        self.released: Collection[str] = ()
        """The queues that get claimable jobs if it does."""
        self.progress: JsonText | None = None
        """The newest report that the store does not have yet."""
        self.give_up_at: timedelta | None = None
        """When to go on without a handler that was asked to stop; if it is settled, from when on it is stuck."""
        self.task: asyncio.Task[Any] | None = None
        """What the handler runs in."""
        self.run_log: LiveRunLog | None = None
        """What the handler has left, if anything."""
        self._on_run_log = on_run_log
        self._on_span = on_span
        self.held_spans: LiveRunLog | None = None
        """Those of a job whose trace is not sampled, if any: nobody wants them unless its attempt fails."""

    @property
    def recorded(self) -> bool:
        """Whether the store knows that the attempt has started."""
        return self.job.started_at is not None

    @property
    def deadline(self) -> timedelta:
        return self.began + self.job.timeout

    @property
    def cancelled(self) -> bool:
        """Whether it is no longer wanted. May be asked from any thread."""
        return self.stop_reason is not None

    def leave_line(self, line: JsonText) -> None:
        if (run_log := self._live_run_log()) is not None:
            run_log.add_line(line)

    def leave_span(self, span: JsonText) -> None:
        if is_sampled(self.job.traceparent):
            self._keep_span(span)
            return
        if self.held_spans is None:
            with _BEGINNING:
                if self.held_spans is None:
                    self.held_spans = LiveRunLog(self.job, _kept_by_nobody)
        self.held_spans.add_span(span)

    def keep_held_spans(self) -> None:
        """The attempt has failed."""
        held, self.held_spans = self.held_spans, None
        for span in held.now().spans if held is not None else ():
            self._keep_span(span)

    def _keep_span(self, span: JsonText) -> None:
        if (run_log := self._live_run_log()) is not None:
            run_log.add_span(span)
        if self._on_span is not None:
            self._on_span(span)

    def _live_run_log(self) -> LiveRunLog | None:
        if self.run_log is None and self._on_run_log is not None:
            with _BEGINNING:
                if self.run_log is None:
                    self.run_log = LiveRunLog(self.job, self._on_run_log)
        return self.run_log

    def stop(self, reason: StopReason) -> None:
        """Asks the handler to end, once; the first reason stands."""
        if self.stop_reason is not None:
            return
        self.stop_reason = reason
        if self.stoppable and self.task is not None:
            self.task.cancel()


def _kept_by_nobody(_run_log: LiveRunLog) -> None: ...
