"""Hints. They make things fast; polling is what correctness rests on.

A hint is sent after the commit of what it tells of, never in its transaction, and may be lost, doubled or late.
Only what is done inside of a caller's transaction is told in it (``JoinedUnitOfWork``), for nobody else knows when
that commits.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from attrs import frozen

from schedora.domain.ids import IncarnationId


@frozen(kw_only=True)
class Hint:
    """``queues`` got claimable jobs; the leases or the status of ``owners`` changed by another's hand."""

    queues: frozenset[str] = frozenset()
    owners: frozenset[IncarnationId] = frozenset()


class Subscription(Protocol):
    @property
    def healthy(self) -> bool:
        """Whether hints are known to arrive. When not, poll at short intervals."""
        ...


class Wakeup(Protocol):
    def ring(self, *, queues: Collection[str] = (), owners: Collection[IncarnationId] = ()) -> None:
        """Sends a hint soon, merged with others of the same moment; none if there is nothing to tell. Never
        blocks, never raises.
        """
        ...

    def subscribe(self, on_hint: Callable[[Hint], None]) -> AbstractAsyncContextManager[Subscription]:
        """Calls ``on_hint`` on the event loop for each hint that arrives, until the context ends.

        Reconnects by itself; after a gap it sends one hint that may mean anything (empty).
        """
        ...
