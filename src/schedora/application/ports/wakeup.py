"""Hints. They make things fast; polling is what correctness rests on.

A hint is sent after the commit of what it tells of, never in its transaction, and may be lost, doubled or late.
Only what is done inside of a caller's transaction is told in it (``JoinedUnitOfWork``), for nobody else knows when
that commits.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol

from attrs import frozen

from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import IncarnationId


@frozen(kw_only=True)
class Hint:
    """``queues`` got claimable jobs; the leases or the status of ``owners`` changed by another's hand.

    ``later``: none of the jobs is due yet. ``shared``: others heard of the same jobs, and may take them first.
    ``matched`` was leased to its owner, one of ``owners``, as it was stored.
    """

    queues: frozenset[str] = frozenset()
    owners: frozenset[IncarnationId] = frozenset()
    later: bool = False
    shared: bool = False
    matched: ClaimedJob | None = None


@frozen(kw_only=True)
class SubscriptionFilter:
    """Which jobs a subscriber looks for: of these queues (all, where there is none) and types."""

    queues: tuple[str, ...] = ()
    types: tuple[str, ...] = ()

    def looks_into(self, queues: Collection[str]) -> bool:
        """Whether there is any of these that it serves."""
        return bool(queues) and (not self.queues or not set(self.queues).isdisjoint(queues))


class Subscription(Protocol):
    @property
    def healthy(self) -> bool:
        """Whether hints are known to arrive. When not, poll at short intervals."""
        ...

    def attend(self, *, owner: IncarnationId | None, idle: bool, room: int = 0) -> None:
        """Tells in whose name the subscriber works, whether it would follow up a hint of jobs at once (one who would not
        may not be told, so that another is), and how many jobs it would start at once. To be called whenever that
        changes; costs nothing when it did not.
        """
        ...

    def pass_on(self) -> None:
        """Another one like the subscriber should look, who can't follow up what it was told, or knew, alone."""
        ...


class Wakeup(Protocol):
    def notify(
        self,
        *,
        queues: Collection[str] = (),
        owners: Collection[IncarnationId] = (),
        later: bool = False,
        more_work: bool = False,
    ) -> None:
        """Sends a hint soon, merged with others of the same moment; none if there is nothing to tell. Never
        blocks, never raises.

        ``later``: none of the jobs is due yet. ``more_work``: there are more than one worker may take.
        """
        ...

    def subscribe(
        self, on_hint: Callable[[Hint], None], subscription_filter: SubscriptionFilter
    ) -> AbstractAsyncContextManager[Subscription]:
        """Calls ``on_hint`` on the event loop for each hint that arrives, until the context ends; of those that tell
        of jobs alone, for those that ``subscription_filter`` looks for.

        Reconnects by itself. When hints cease to arrive, and after a gap, it sends one that may mean anything (empty).
        """
        ...


class EnclosedWakeup(Wakeup, Protocol):
    """One whose hints the store can send as well."""

    def within(self, *, queues: Collection[str], later: bool = False) -> AbstractContextManager[str | None]:
        """What the statement in this context should send as it makes jobs claimable and commits; None where to
        ``notify`` is left for afterwards.
        """
        ...


class StoreSubscription(Subscription, Protocol):
    def hears(self, owner: IncarnationId) -> bool:
        """Whether it is told of jobs that are leased to this owner as they are stored."""
        ...


class StoreWakeup(EnclosedWakeup, Protocol):
    """One whose hints are the store's own."""

    def subscribe(
        self, on_hint: Callable[[Hint], None], subscription_filter: SubscriptionFilter
    ) -> AbstractAsyncContextManager[StoreSubscription]:
        """As any ``Wakeup``'s."""
        ...
