"""Whether the memory store is there: always, unless told otherwise."""

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.store import MemoryStore


class MemoryHealth:
    def __init__(self, store: MemoryStore) -> None:
        self.faults: Faults = store.faults

    @fallible
    async def check(self) -> None:
        """The failure that may be due is all there is to find out."""
