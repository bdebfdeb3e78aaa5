"""Queues: pausing them, how long they keep what has ended, and how full they are."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

from attrs import field, frozen

from schedora.domain.job_state import JobState
from schedora.domain.queue import Queue
from schedora.domain.retention import QueueRetention


@frozen(kw_only=True)
class QueueStats:
    """Counts of one queue, or of all. ``oldest_ready`` is how long its oldest claimable job has been due."""

    by_status: Mapping[JobState, int] = field(factory=dict)
    paused: bool = False
    oldest_ready: timedelta | None = None
    retention: QueueRetention = field(factory=QueueRetention)


@frozen(kw_only=True)
class Stats:
    by_queue: Mapping[str, QueueStats]
    unhandled_types: tuple[str, ...]
    """Types of claimable jobs that no live worker has a handler for."""
    age: timedelta = timedelta(0)
    """How long ago this was counted."""


class Queues(Protocol):
    async def pause(self, name: str) -> Queue:
        """Its jobs wait; what runs goes on. Makes the queue when it is new. Pausing twice changes nothing."""
        ...

    async def resume(self, name: str) -> Queue: ...

    async def set_retention(self, name: str, retention: QueueRetention) -> Queue:
        """In place of what it had of its own. Makes the queue when it is new."""
        ...

    async def stats(self) -> Stats: ...
