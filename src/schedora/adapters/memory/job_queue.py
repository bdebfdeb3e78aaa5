"""The hot path: completions and starts in, claims out."""

from collections.abc import Sequence
from datetime import datetime
from itertools import islice

import attrs

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.jobs import complete
from schedora.adapters.memory.lease_fields import as_held, claimed, started
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.tables import Tables
from schedora.application.ports.job_queue import ClaimRequest, Start, SyncAnswer, SyncBatch
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import IncarnationId, LeaseId
from schedora.domain.job import Job
from schedora.domain.worker import WorkerState


class MemoryJobQueue:
    """What becomes claimable in a batch can be claimed from the next one on."""

    def __init__(self, store: MemoryStore) -> None:
        self.faults: Faults = store.faults
        self._store = store

    @fallible
    async def sync(self, batch: SyncBatch) -> SyncAnswer:
        async with self._store.transaction() as tables:
            now = self._store.clock.now()
            accepted = complete(tables, batch.completions) | start(tables, batch.starts)
            answer = SyncAnswer(at=now, accepted=frozenset(accepted))
            wish = batch.claim
            if wish is None or not _takes_jobs(tables, wish.owner):
                return answer
            claims = self._claim(tables, wish, now)
            if len(claims) == wish.limit:
                return attrs.evolve(answer, claimed=claims)
            return attrs.evolve(answer, claimed=claims, next_due_at=self._next_due_at(tables, wish, now))

    def _claim(self, tables: Tables, wish: ClaimRequest, now: datetime) -> tuple[ClaimedJob, ...]:
        types = frozenset(wish.types)
        due = self._store.index.ready.due(now, wanted=lambda queue: _serves(tables, wish, queue))
        jobs = (tables.jobs[place.job_id] for place in due)
        chosen = islice((job for job in jobs if job.request.type in types), wish.limit)
        claims = []
        for position, waiting in enumerate(chosen):
            lease_id = LeaseId(self._store.randomness.random_id())
            job = claimed(waiting, lease_id=lease_id, owner=wish.owner, worker_id=wish.worker_id, now=now)
            if position < wish.start_count and not job.suspect:
                job = started(job, now)
            tables.jobs[job.job_id] = job
            claims.append(as_held(job))
        return tuple(claims)

    def _next_due_at(self, tables: Tables, wish: ClaimRequest, now: datetime) -> datetime | None:
        """Looks at the committed backlog and at what this very batch has put back."""
        delayed = self._store.index.ready.delayed(now, wanted=lambda queue: _serves(tables, wish, queue))
        backlog = (job for place in delayed if _wants(tables, wish, job := tables.jobs[place.job_id]))
        put_back = (job for _, job in tables.job_changes() if job is not None and _wants(tables, wish, job))
        nearest = [*islice(backlog, 1), *(job for job in put_back if job.claimable)]
        return min((job.scheduled_at for job in nearest), default=None)

    @fallible
    async def held(self, owner: IncarnationId) -> frozenset[LeaseId]:
        with self._store.committed():
            leases = self._store.index.leases.values()
            return frozenset(lease.lease_id for lease in leases if lease.owner == owner)

    @fallible
    async def claims(self, owner: IncarnationId) -> list[ClaimedJob]:
        with self._store.committed() as tables:
            leases = sorted(self._store.index.leases.items(), key=lambda item: item[0])
            return [as_held(tables.jobs[job_id]) for job_id, lease in leases if lease.owner == owner]


def start(tables: Tables, starts: Sequence[Start]) -> set[LeaseId]:
    """Records those whose lease is still the job's own; answers which. A start that is known stays."""
    accepted: set[LeaseId] = set()
    for entry in starts:
        job = tables.jobs.get(entry.job_id)
        if job is None or job.lease is None or job.lease.lease_id != entry.lease_id:
            continue
        if job.started_at is None:
            job = started(job, entry.started_at)
        if entry.progress is not None and job.lease is not None:
            job = attrs.evolve(job, lease=attrs.evolve(job.lease, progress=entry.progress))
        tables.jobs[job.job_id] = job
        accepted.add(entry.lease_id)
    return accepted


def _takes_jobs(tables: Tables, owner: IncarnationId) -> bool:
    worker = tables.workers.get(owner)
    return worker is not None and worker.status is WorkerState.ACTIVE


def _serves(tables: Tables, wish: ClaimRequest, queue: str) -> bool:
    return (not wish.queues or queue in wish.queues) and not tables.queues[queue].paused


def _wants(tables: Tables, wish: ClaimRequest, job: Job) -> bool:
    return job.request.type in wish.types and _serves(tables, wish, job.request.queue)
