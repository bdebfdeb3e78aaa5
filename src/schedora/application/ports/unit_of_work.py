"""One transaction over the stores: all of it happens, or none."""

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from attrs import frozen

from schedora.application.ports.jobs import JobStore
from schedora.application.ports.workflows import WorkflowStore
from schedora.domain.completion import Completion
from schedora.domain.ids import LeaseId


class UnitOfWork(Protocol):
    @property
    def jobs(self) -> JobStore: ...

    @property
    def workflows(self) -> WorkflowStore: ...

    async def now(self) -> datetime:
        """The store's own clock: the one that scheduling goes by. Constant within the unit."""
        ...


class JoinedUnitOfWork(UnitOfWork, Protocol):
    """A unit inside of a caller's transaction, which goes on when the unit ends."""

    async def notify(self, *, queues: Collection[str]) -> None:
        """Sends a hint that these queues got claimable jobs: it leaves with the caller's commit, or never."""
        ...


@frozen(kw_only=True)
class Advanced:
    """What came of completions: the leases whose completion was accepted, and the queues that got claimable jobs."""

    accepted: frozenset[LeaseId]
    queues: frozenset[str]


class UnitOfWorkFactory(Protocol):
    def begin(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Commits on a clean exit, rolls back on an exception and passes it on.

        Raises ``StoreUnavailable``; then nothing is known to be stored. Conflicts between units that the
        store can resolve by running one after the other (deadlocks) surface as ``StoreUnavailable`` too.
        """
        ...

    async def advance(self, completions: Sequence[Completion]) -> Advanced:
        """Completes jobs of workflows, of which none fails or is canceled for good, releases what waited for them,
        and counts: as in a unit, and in less time. Raises as ``begin``.
        """
        ...

    def join(self, connection: object) -> AbstractAsyncContextManager[JoinedUnitOfWork]:
        """Works inside the transaction that the caller has open on ``connection``: never commits and never
        rolls back, so what is done here happens if and only if that transaction commits.

        With a synchronous connection nothing in the unit ever waits for the event loop. Raises ``TypeError``
        for a connection of a kind that this store does not know.
        """
        ...
