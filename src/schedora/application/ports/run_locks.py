"""A lock for each job that runs, whose value is the lease id: a second line behind the fence.

It decides nothing. Where it names another lease than the store does, somebody runs a job that is not theirs, and
the store says who. All may be forgotten at any moment. No method raises because what keeps them is away.
"""

from collections.abc import Sequence
from typing import Protocol

from schedora.domain.ids import IncarnationId, JobId, LeaseId
from schedora.domain.values import frozen


@frozen
class RunLock:
    job_id: JobId
    lease_id: LeaseId


@frozen
class Contested:
    """Another held the lock of this job, or holds it still."""

    lock: RunLock
    holder: str
    """What stands in the lock: the id of another lease, unless somebody else has written there."""


class RunLocks(Protocol):
    """Locks live as long as the sign of life of their owner (``Heartbeats``); where there is none, for the heartbeat
    timeout.

    Every method answers the locks that were contested; None if it may not have been heard, or not all of it.
    """

    async def take(self, owner: IncarnationId, locks: Sequence[RunLock]) -> Sequence[Contested] | None:
        """For leases that the store has just given: whoever held the lock holds it no more."""
        ...

    async def renew(self, owner: IncarnationId, locks: Sequence[RunLock]) -> Sequence[Contested] | None:
        """Makes them live longer; takes those that are not there, and leaves those of others."""
        ...

    async def release(self, locks: Sequence[RunLock]) -> Sequence[Contested] | None:
        """Removes them, and leaves those of others."""
        ...
