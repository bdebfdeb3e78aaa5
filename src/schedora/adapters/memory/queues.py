"""Queues: pausing them, how long they keep what has ended, and how full they are."""

from datetime import datetime

import attrs

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.store import MemoryStore
from schedora.application.ports.queues import QueueStats, Stats
from schedora.domain.job_state import JobState
from schedora.domain.queue import Queue
from schedora.domain.retention import QueueRetention
from schedora.domain.worker import LIVE


class MemoryQueues:
    def __init__(self, store: MemoryStore) -> None:
        self.faults: Faults = store.faults
        self._store = store

    @fallible
    async def pause(self, name: str) -> Queue:
        async with self._store.transaction() as tables:
            queue = tables.queues.get(name, Queue(name=name))
            if not queue.paused:
                queue = attrs.evolve(queue, paused_at=self._store.clock.now())
            tables.queues[name] = queue
            return queue

    @fallible
    async def resume(self, name: str) -> Queue:
        async with self._store.transaction() as tables:
            tables.queues[name] = attrs.evolve(tables.queues.get(name, Queue(name=name)), paused_at=None)
            return tables.queues[name]

    @fallible
    async def set_retention(self, name: str, retention: QueueRetention) -> Queue:
        async with self._store.transaction() as tables:
            tables.queues[name] = attrs.evolve(tables.queues.get(name, Queue(name=name)), retention=retention)
            return tables.queues[name]

    @fallible
    async def stats(self) -> Stats:
        with self._store.committed() as tables:
            now = self._store.clock.now()
            index = self._store.index
            handled = {
                job_type
                for worker in tables.workers.values()
                if worker.status in LIVE
                for job_type in worker.identity.types
            }
            types = {tables.jobs[place.job_id].request.type for place in index.ready}
            return Stats(
                by_queue={name: self._stats_of(queue, now) for name, queue in tables.queues.items()},
                unhandled_types=tuple(sorted(types - handled)),
            )

    def _stats_of(self, queue: Queue, now: datetime) -> QueueStats:
        index = self._store.index
        oldest = index.ready.oldest(queue.name)
        return QueueStats(
            by_status={state: count for state in JobState if (count := index.counts[queue.name, state])},
            paused=queue.paused,
            retention=queue.retention,
            oldest_ready=now - oldest if oldest is not None and oldest <= now else None,
        )
