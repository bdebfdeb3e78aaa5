"""Signs of life beside those in the store: quicker to give, and gone by themselves.

They can only spare a worker whose row has grown old. That one is not known here says nothing: all may be forgotten
at any moment. No method raises because what keeps them is away.
"""

from collections.abc import Collection
from typing import Protocol

from schedora.domain.ids import IncarnationId


class Heartbeats(Protocol):
    async def beat(self, incarnation: IncarnationId) -> bool:
        """It lives, for as long as the heartbeat timeout from now on. Whether this was noted."""
        ...

    async def alive(self, incarnations: Collection[IncarnationId]) -> frozenset[IncarnationId]:
        """Those of them that are known to live. Answers soon, whatever has happened."""
        ...

    async def forget(self, incarnation: IncarnationId) -> None:
        """It has ended, or is not to be suppressed any more."""
        ...
