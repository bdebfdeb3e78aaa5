"""One job in a slot, from its start to the end of its handler."""

import asyncio
import threading
from collections.abc import Collection
from datetime import datetime, timedelta
from enum import Enum

from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.ids import JsonText
from schedora.domain.outcome import Outcome


class StopReason(Enum):
    TIMED_OUT = "timed out"
    LEASE_LOST = "lease lost"
    DRAINED = "drained"


class Run:
    """What the worker knows of a running job. ``began`` is on the monotonic clock, ``started_at`` on the
    store's.
    """

    def __init__(self, job: ClaimedJob, *, started_at: datetime, began: timedelta) -> None:
        self.job = job
        self.started_at = started_at
        self.began = began
        self.recorded = job.started_at is not None
        """Whether the store knows that the attempt has started."""
        self.cancelled = threading.Event()
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
        """When to go on without a handler that was asked to stop."""
        self.task: asyncio.Task[Outcome | None] | None = None

    @property
    def deadline(self) -> timedelta:
        return self.began + self.job.timeout

    def stop(self, reason: StopReason) -> None:
        """Asks the handler to end, once; the first reason stands."""
        if self.stop_reason is not None:
            return
        self.stop_reason = reason
        self.cancelled.set()
        if self.stoppable and self.task is not None:
            self.task.cancel()
