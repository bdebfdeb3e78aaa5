"""Chance and identity: one seed behind this port makes a whole run repeatable."""

from typing import Protocol
from uuid import UUID


class Randomness(Protocol):
    def unit(self) -> float:
        """In [0, 1)."""
        ...

    def bits(self, count: int) -> int: ...

    def random_id(self) -> UUID: ...

    def ordered_id(self) -> UUID:
        """A UUID version 7; ascending within one process, also within one millisecond."""
        ...

    def ordered_ids(self, count: int) -> list[UUID]:
        """So many of them."""
        ...
