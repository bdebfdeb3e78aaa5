"""One job in a slot, from its start to the end of its handler."""

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.ids import JsonText


class StopReason(Enum):
    TIMED_OUT = "timed out"
    LEASE_LOST = "lease lost"
    DRAINED = "drained"


class Run:
    """What the worker knows of a running job. ``began`` is on the monotonic clock, ``started_at`` on the
    store's.
    """

    __slots__ = (
        "began", "give_up_at", "job", "locked", "progress", "released", "settled", "started_at", "stop_reason",
        "stoppable", "task", "written",
    )  # fmt: skip

    def __init__(self, job: ClaimedJob, *, started_at: datetime, began: timedelta) -> None:
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
        """When to go on without a handler that was asked to stop."""
        self.task: asyncio.Task[Any] | None = None
        """What the handler runs in."""

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

    def stop(self, reason: StopReason) -> None:
        """Asks the handler to end, once; the first reason stands."""
        if self.stop_reason is not None:
            return
        self.stop_reason = reason
        if self.stoppable and self.task is not None:
            self.task.cancel()
