"""The memory store: all that the memory adapters share."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from threading import RLock
from typing import TYPE_CHECKING

from schedora.adapters.memory.faults import AFTER_COMMIT, BEFORE_COMMIT, Faults
from schedora.adapters.memory.job_index import JobIndex
from schedora.adapters.memory.tables import Tables
from schedora.adapters.memory.transaction_mutex import TransactionMutex
from schedora.application.ports.clock import Clock
from schedora.application.ports.randomness import Randomness

if TYPE_CHECKING:
    from schedora.application.ports.wakeup import Hint


class MemoryStore:
    """Transactional: they run one after the other, readers see what is committed and never wait for one.

    May be used from several event loops and threads.
    """

    def __init__(self, *, clock: Clock, randomness: Randomness) -> None:
        self.clock = clock
        self.randomness = randomness
        self.faults = Faults()
        self.index = JobIndex()
        self.subscribers: list[Callable[[Hint], None]] = []
        self._tables = Tables()
        self._transaction_mutex = TransactionMutex()
        self._guard = RLock()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tables]:
        """Tables to read and change; kept on a clean exit, as if nothing had happened on an exception."""
        async with self._transaction_mutex:
            overlay = self._tables.overlay()
            yield overlay
            self.faults.pass_by(BEFORE_COMMIT)
            with self._guard:
                changes = overlay.job_changes()
                overlay.apply()
                for before, after in changes:
                    self.index.follow(before, after)
            self.faults.pass_by(AFTER_COMMIT)

    @contextmanager
    def committed(self) -> Iterator[Tables]:
        """Tables to read, which stand still meanwhile."""
        with self._guard:
            yield self._tables
