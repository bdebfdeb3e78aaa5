"""Brings what runs leave to the store: beside the batch, which never waits for it.

A run that leaves nothing costs nothing here. What it leaves is written about once a second while it goes on, so that
it can be looked at, and is there should its worker die.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from threading import Lock

from schedora.application.errors import StoreUnavailable
from schedora.application.log import Logger
from schedora.application.ports.clock import Clock
from schedora.application.ports.metrics import Counter, Metrics
from schedora.application.ports.run_logs import RunLogs
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import JsonText
from schedora.domain.run_log import (
    LINE_LENGTH_MAX,
    LINES_LENGTH_MAX,
    LINES_MAX,
    SPANS_LENGTH_MAX,
    SPANS_MAX,
    RunLog,
)

EVERY = timedelta(seconds=1)
BATCH_MAX = 500
BATCH_LENGTH_MAX = 2_000_000
"""Characters in one statement, or one run log more."""
LENGTH_MAX = 32_000_000
"""Characters that wait to be written, of all runs together: what comes then is left out."""

log = Logger("schedora.worker")


class LiveRunLog:
    """The run log of a run that has not ended. Thread-safe."""

    def __init__(self, job: ClaimedJob, on_news: "Callable[[LiveRunLog], None]") -> None:
        self._job = job
        self._on_news = on_news
        self._guard = Lock()
        self._lines: deque[JsonText] = deque()
        self._lines_length = 0
        self._lines_dropped = 0
        self._spans: list[JsonText] = []
        self._spans_length = 0
        self._spans_dropped = 0

    @property
    def length(self) -> int:
        """In characters."""
        return self._lines_length + self._spans_length

    def add_line(self, line: JsonText) -> None:
        with self._guard:
            if len(line) > LINE_LENGTH_MAX:
                self._lines_dropped += 1
            else:
                self._lines.append(line)
                self._lines_length += len(line)
                while len(self._lines) > LINES_MAX or self._lines_length > LINES_LENGTH_MAX:
                    self._lines_length -= len(self._lines.popleft())
                    self._lines_dropped += 1
        self._on_news(self)

    def add_span(self, span: JsonText) -> None:
        with self._guard:
            if len(self._spans) == SPANS_MAX or self._spans_length + len(span) > SPANS_LENGTH_MAX:
                self._spans_dropped += 1
            else:
                self._spans.append(span)
                self._spans_length += len(span)
        self._on_news(self)

    def now(self) -> RunLog:
        """As it stands."""
        with self._guard:
            return RunLog(
                job_id=self._job.job_id,
                lease_token=self._job.lease_token,
                attempt=self._job.current_attempt,
                worker_id=self._job.worker_id,
                lines=tuple(self._lines),
                lines_dropped=self._lines_dropped,
                spans=tuple(self._spans),
                spans_dropped=self._spans_dropped,
            )


class RunLogFlusher:
    """``note`` may be called from any thread, all else from the worker's event loop."""

    def __init__(self, *, run_logs: RunLogs, clock: Clock, metrics: Metrics) -> None:
        self._run_logs = run_logs
        self._clock = clock
        self._metrics = metrics
        self._guard = Lock()
        self._changed: dict[LiveRunLog, int] = {}
        """With the length that each had, oldest change first."""
        self._length = 0
        self._stopped = asyncio.Event()

    def __len__(self) -> int:
        """How many wait to be written."""
        return len(self._changed)

    def note(self, run_log: LiveRunLog) -> None:
        """Something was left: it is to be written soon."""
        length = run_log.length
        with self._guard:
            known = self._changed.get(run_log)
            if self._length - (known or 0) + length <= LENGTH_MAX:
                self._changed[run_log] = length
                self._length += length - (known or 0)
                return
            full = known is None
        if full:
            self._metrics.count(Counter.RUN_LOGS_DROPPED)

    async def flush(self) -> None:
        """Writes what has changed. Raises ``StoreUnavailable``; then nothing is lost. What can't be written for another
        reason is lost, and counted.
        """
        while batch := self._take():
            try:
                await self._run_logs.keep([run_log.now() for run_log in batch])
            except (StoreUnavailable, asyncio.CancelledError):
                for run_log in batch:
                    self.note(run_log)
                raise
            except Exception:
                # A defect, which would come again: these are lost, and jobs and the run logs of others continue.
                log.exception("run logs lost", run_logs=len(batch))
                self._metrics.count(Counter.RUN_LOGS_DROPPED, amount=len(batch))

    async def run(self) -> None:
        """Until ``stop``, and once more then."""
        stopped = False
        while not stopped:
            stopped = await self._clock.wait(self._stopped, EVERY)
            try:
                await self.flush()
            except StoreUnavailable as error:
                log.debug("run logs kept for later", reason=str(error), run_logs=len(self))

    def stop(self) -> None:
        self._stopped.set()

    def give_up(self) -> None:
        """For the end, when nobody writes any more: what waits still is lost, which is said and counted."""
        with self._guard:
            lost = len(self._changed)
            self._changed.clear()
            self._length = 0
        if lost:
            log.error("the store did not take the last of these runs' logs and spans: lost", run_logs=lost)
            self._metrics.count(Counter.RUN_LOGS_DROPPED, amount=lost)

    def _take(self) -> list[LiveRunLog]:
        with self._guard:
            batch: list[LiveRunLog] = []
            length = 0
            for run_log, its_length in self._changed.items():
                if len(batch) == BATCH_MAX or length > BATCH_LENGTH_MAX:
                    break
                batch.append(run_log)
                length += its_length
            for run_log in batch:
                del self._changed[run_log]
            self._length -= length
        return batch
