"""A store that looks at completions before it takes them, and refuses what it can't keep."""

from collections.abc import Callable, Sequence

from attrs import frozen

from schedora.adapters.memory.job_queue import MemoryJobQueue
from schedora.adapters.memory.store import MemoryStore
from schedora.application.pipeline.complete import Completed, CompleteJobs
from schedora.application.ports.job_queue import SyncAnswer, SyncBatch
from schedora.domain.completion import Completion
from tests.unit.application.bench import Bench

Look = Callable[[Sequence[Completion]], None]
"""Raises what the store says of completions that it refuses."""


class Refusal(Exception):
    """What a store says that can't keep a value."""


class FussyQueue(MemoryJobQueue):
    def __init__(self, store: MemoryStore, look: Look) -> None:
        super().__init__(store)
        self._look = look

    async def sync(self, batch: SyncBatch) -> SyncAnswer:
        self._look(batch.completions)
        return await super().sync(batch)


@frozen(kw_only=True)
class FussyComplete(CompleteJobs):
    look: Look

    async def __call__(self, completions: Sequence[Completion]) -> Completed:
        self.look(completions)
        return await super().__call__(completions)


def fussy(bench: Bench, look: Look) -> tuple[FussyQueue, FussyComplete]:
    """Both ways on which completions come to the store."""
    complete = FussyComplete(units=bench.stores.units, wakeup=bench.stores.wakeup, look=look)
    return FussyQueue(bench.store, look), complete
