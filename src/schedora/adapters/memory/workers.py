"""The register of workers and their heartbeats."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from heapq import nsmallest

import attrs

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.lease_fields import as_held
from schedora.adapters.memory.store import MemoryStore
from schedora.application.ports.workers import SilentWorker
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import IncarnationId, WorkerId
from schedora.domain.worker import LIVE, Worker, WorkerIdentity, WorkerState
from schedora.domain.worker_death import WorkerDeath


class MemoryWorkers:
    def __init__(self, store: MemoryStore) -> None:
        self.faults: Faults = store.faults
        self._store = store

    @fallible
    async def register(self, identity: WorkerIdentity, incarnation: IncarnationId) -> Worker:
        async with self._store.transaction() as tables:
            now = self._store.clock.now()
            known = tables.workers.get(incarnation)
            worker = Worker(
                identity=identity,
                incarnation=incarnation,
                registered_at=known.registered_at if known else now,
                last_heartbeat=now,
            )
            tables.workers[incarnation] = worker
            tables.worker_deaths.pop(incarnation, None)
        return self._with_running_jobs([worker])[0]

    @fallible
    async def beat(
        self,
        incarnation: IncarnationId,
        *,
        cpu_percent: float | None,
        memory_percent: float | None,
        stuck_threads: int = 0,
    ) -> WorkerState | None:
        async with self._store.transaction() as tables:
            worker = tables.workers.get(incarnation)
            if worker is None:
                return None
            if worker.status in LIVE:
                tables.workers[incarnation] = attrs.evolve(
                    worker,
                    last_heartbeat=self._store.clock.now(),
                    cpu_percent=cpu_percent,
                    memory_percent=memory_percent,
                    stuck_threads=stuck_threads,
                )
            return worker.status

    @fallible
    async def set_status(self, incarnations: Collection[IncarnationId], status: WorkerState) -> None:
        async with self._store.transaction() as tables:
            for incarnation in incarnations:
                worker = tables.workers.get(incarnation)
                if worker is not None:
                    tables.workers[incarnation] = attrs.evolve(worker, status=status)

    @fallible
    async def named(self, worker_id: WorkerId) -> list[Worker]:
        with self._store.committed() as tables:
            workers = [one for one in tables.workers.values() if one.identity.worker_id == worker_id]
        return self._with_running_jobs(workers)

    @fallible
    async def registered(self, states: Collection[WorkerState] = ()) -> list[Worker]:
        with self._store.committed() as tables:
            workers = [one for one in tables.workers.values() if not states or one.status in states]
        return self._with_running_jobs(workers)

    @fallible
    async def watch(self, gap_max: timedelta) -> timedelta:
        async with self._store.transaction() as tables:
            now = self._store.clock.now()
            since, last = tables.worker_watch.get(True, (now, now))
            if abs(now - last) > gap_max:
                since = last = now
            tables.worker_watch[True] = since, max(last, now)
            return max(now - since, timedelta(0))

    @fallible
    async def silent(self, longer_than: timedelta) -> list[SilentWorker]:
        with self._store.committed() as tables:
            now = self._store.clock.now()
            return [
                SilentWorker(
                    incarnation=worker.incarnation,
                    worker_id=worker.identity.worker_id,
                    silent_for=now - worker.last_heartbeat,
                    seen_dead=worker.death is not None,
                )
                for _, worker in sorted(tables.workers.items())
                if worker.silent_at(now, longer_than) or worker.seen_dead
            ]

    @fallible
    async def declare_stale(
        self, incarnations: Collection[IncarnationId], silent_for: timedelta
    ) -> list[Worker]:
        async with self._store.transaction() as tables:
            now = self._store.clock.now()
            named = [tables.workers[one] for one in incarnations if one in tables.workers]
            stale = [
                attrs.evolve(worker, status=WorkerState.STALE)
                for worker in named
                if worker.silent_at(now, silent_for) or worker.seen_dead
            ]
            tables.workers.update({worker.incarnation: worker for worker in stale})
        return self._with_running_jobs(stale)

    @fallible
    async def note_death(self, incarnation: IncarnationId, death: WorkerDeath) -> bool:
        async with self._store.transaction() as tables:
            worker = tables.workers.get(incarnation)
            if worker is None or worker.status is WorkerState.STOPPED:
                return False
            tables.workers[incarnation] = attrs.evolve(worker, death=death.how)
            tables.worker_deaths[incarnation] = death
            return True

    @fallible
    async def deaths(self, incarnations: Collection[IncarnationId]) -> Mapping[IncarnationId, WorkerDeath]:
        with self._store.committed() as tables:
            return {one: tables.worker_deaths[one] for one in incarnations if one in tables.worker_deaths}

    @fallible
    async def prune(self, older_than: timedelta) -> int:
        async with self._store.transaction() as tables:
            now = self._store.clock.now()
            holders = {lease.owner for lease in self._store.index.leases.values()}
            forgotten = [
                worker.incarnation
                for worker in tables.workers.values()
                if worker.status not in LIVE
                and worker.incarnation not in holders
                and now - worker.last_heartbeat > older_than
            ]
            for incarnation in forgotten:
                del tables.workers[incarnation]
                tables.worker_deaths.pop(incarnation, None)
            return len(forgotten)

    @fallible
    async def lost_jobs(self, limit: int) -> list[ClaimedJob]:
        with self._store.committed() as tables:
            live = {worker.incarnation for worker in tables.workers.values() if worker.status in LIVE}
            lost = (job_id for job_id, lease in self._store.index.leases.items() if lease.owner not in live)
            return [as_held(tables.jobs[job_id]) for job_id in nsmallest(limit, lost)]

    def _with_running_jobs(self, workers: Iterable[Worker]) -> list[Worker]:
        """Newest first."""
        with self._store.committed():
            held = Counter(lease.owner for lease in self._store.index.leases.values())
        newest_first = sorted(workers, key=lambda one: (one.registered_at, one.incarnation), reverse=True)
        return [attrs.evolve(worker, running_jobs=held[worker.incarnation]) for worker in newest_first]
