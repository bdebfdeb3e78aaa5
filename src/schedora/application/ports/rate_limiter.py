"""Rate limits that all processes share: one token bucket a name."""

from collections.abc import Sequence
from typing import Protocol

from schedora.domain.limits import Decision, TokenRequest


class RateLimiter(Protocol):
    """Goes by the store's own clock. A bucket comes into being full, with its first taking."""

    async def take(self, requests: Sequence[TokenRequest]) -> list[Decision]:
        """A decision for each, in one round trip: one after the other, each on what those before it have left.

        Takings of others come before or after all of them. Raises ``StoreUnavailable``; then it is not known whether
        anything was taken.
        """
        ...

    async def prune(self, *, limit: int) -> int:
        """Forgets buckets that are full, which changes nothing else: at most so many. Answers how many."""
        ...
