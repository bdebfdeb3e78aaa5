"""What is known of one job and of what it needs to run."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Final

import attrs

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.tables import Tables
from schedora.application.ports.explain_inputs_reader import HOPS_MAX, UPSTREAM_MAX
from schedora.application.ports.metrics import Gauge
from schedora.application.ports.shared_counters import Series
from schedora.diagnosis.why.inputs import (
    CandidateWorker,
    ExplainInputs,
    LeaseHolder,
    QueuePosition,
    UnfinishedUpstream,
)
from schedora.domain.dependency import stands_in_the_way, waited_in_vain
from schedora.domain.ids import IncarnationId, JobId
from schedora.domain.job import Job
from schedora.domain.job_state import ENDED, WAITING, JobState
from schedora.domain.lease import Lease
from schedora.domain.process import FRESH_FOR
from schedora.domain.worker import LIVE, Worker, WorkerIdentity, WorkerState

_CLAIM_RATE: Final = Series(Gauge.WORKER_CLAIM_RATE.value, ())


class MemoryExplainInputsReader:
    def __init__(self, store: MemoryStore) -> None:
        self.faults: Faults = store.faults
        self._store = store

    @fallible
    async def inputs(self, job_id: JobId) -> ExplainInputs | None:
        with self._store.committed() as tables:
            job = tables.jobs.get(job_id)
            return None if job is None else self._inputs(tables, job)

    @fallible
    async def position(self, inputs: ExplainInputs, *, ahead_max: int) -> QueuePosition | None:
        with self._store.committed() as tables:
            now = self._store.clock.now()
            takers = [
                worker.identity
                for worker in tables.workers.values()
                if worker.status is WorkerState.ACTIVE and _takes(worker.identity, inputs.type, inputs.queue)
            ]
            due = self._store.index.ready.due(now, wanted=lambda queue: not tables.queues[queue].paused)
            place = (-inputs.priority, inputs.scheduled_at, inputs.job_id)
            jobs = (tables.jobs[one.job_id] for one in due)
            before = (
                job
                for job in jobs
                if (-job.request.priority, job.scheduled_at, job.job_id) < place
                and any(_takes(taker, job.request.type, job.request.queue) for taker in takers)
            )
            ahead = sum(1 for _ in islice(before, ahead_max + 1))
            return QueuePosition(
                ahead=min(ahead, ahead_max),
                at_least=ahead > ahead_max,
                claims_per_second=_claims_per_second(tables, takers, now - FRESH_FOR),
            )

    def _inputs(self, tables: Tables, job: Job) -> ExplainInputs:
        request, ended = job.request, job.ended
        queue = tables.queues.get(request.queue)
        live = _live(tables) if job.status in WAITING else []
        blockers = _blockers(tables, job)
        return ExplainInputs(
            at=self._store.clock.now(),
            job_id=job.job_id,
            type=request.type,
            queue=request.queue,
            priority=request.priority,
            status=job.status,
            created_at=job.created_at,
            scheduled_at=job.scheduled_at,
            timeout=request.timeout,
            waits_for=job.waits_for,
            attempt=job.attempt,
            worker_id=job.worker_id if ended else None,
            started_at=job.started_at if ended else None,
            completed_at=job.completed_at,
            last_move=job.history[-1] if job.history else None,
            last_error=attrs.evolve(job.errors[-1], traceback=None) if job.errors else None,
            released_at=released_at(tables, job),
            paused_at=queue.paused_at if queue else None,
            holder=self._holder(tables, job.lease) if job.lease else None,
            upstream=tuple(_upstream(cause) for cause in blockers[:UPSTREAM_MAX]),
            root=_root(tables, job, blockers),
            workers=tuple(
                self._worker(worker, request.type, request.queue)
                for worker in sorted(live, key=lambda one: (one.identity.worker_id, one.incarnation))
            ),
        )

    def _worker(self, worker: Worker, job_type: str, queue: str) -> CandidateWorker:
        identity = worker.identity
        candidate = CandidateWorker(
            worker_id=identity.worker_id,
            status=worker.status,
            last_heartbeat=worker.last_heartbeat,
            knows_type=identity.knows(job_type),
            serves_queue=identity.serves(queue),
            slots=identity.max_concurrent_jobs,
        )
        if not candidate.would_take_it:
            return candidate
        return attrs.evolve(candidate, held_jobs=sum(1 for _ in self._leases_of(worker.incarnation)))

    def _holder(self, tables: Tables, lease: Lease) -> LeaseHolder:
        worker = tables.workers.get(lease.owner)
        return LeaseHolder(
            worker_id=lease.worker_id,
            claimed_at=lease.claimed_at,
            started_at=lease.started_at,
            status=worker.status if worker else None,
            last_heartbeat=worker.last_heartbeat if worker else None,
            slots=worker.identity.max_concurrent_jobs if worker else None,
            running_jobs=sum(1 for held in self._leases_of(lease.owner) if held.started_at is not None),
        )

    def _leases_of(self, owner: IncarnationId) -> Iterator[Lease]:
        return (lease for lease in self._store.index.leases.values() if lease.owner == owner)


def _live(tables: Tables) -> list[Worker]:
    return [worker for worker in tables.workers.values() if worker.status in LIVE]


def released_at(tables: Tables, job: Job) -> datetime | None:
    """When the last of the jobs that it depends on succeeded, if it waits for nothing any more."""
    causes = (tables.jobs.get(job_id) for job_id in job.request.depends_on if job.claimable)
    return max((cause.completed_at for cause in causes if cause and cause.completed_at), default=None)


def _blockers(tables: Tables, job: Job) -> list[Job]:
    """What stands in its way: what has failed first, then what waits for nothing itself."""
    if not ((job.status in WAITING and job.waits_for) or waited_in_vain(job)):
        return []
    causes = (tables.jobs.get(job_id) for job_id in job.request.depends_on)
    blockers = (cause for cause in causes if cause is not None and cause.status is not JobState.SUCCESS)
    return sorted(
        blockers, key=lambda one: (not stands_in_the_way(one.status), one.waits_for > 0, one.job_id)
    )


def _root(tables: Tables, job: Job, blockers: Sequence[Job]) -> UnfinishedUpstream | None:
    last = job
    for _ in range(HOPS_MAX):
        if not blockers:
            break
        last = blockers[0]
        blockers = _blockers(tables, last)
    direct = last is job or last.job_id in job.request.depends_on
    return None if direct else _upstream(last)


def _upstream(job: Job) -> UnfinishedUpstream:
    since = job.completed_at if job.status in ENDED else job.scheduled_at
    if job.lease is not None:
        since = job.lease.started_at or job.lease.claimed_at
    return UnfinishedUpstream(
        job_id=job.job_id,
        key=job.request.key,
        type=job.request.type,
        status=job.status,
        since=since or job.created_at,
        waits_for=job.waits_for,
        worker_id=job.lease.worker_id if job.lease else None,
        error_kind=job.errors[-1].kind if job.errors else None,
        error_message=job.errors[-1].message if job.errors else None,
    )


def _claims_per_second(tables: Tables, takers: Sequence[WorkerIdentity], since: datetime) -> float | None:
    """By what their processes have told of themselves."""
    places = {(taker.hostname, taker.pid) for taker in takers}
    rates: dict[tuple[str, int], float] = {}
    for report in tables.processes.values():
        place, rate = (report.identity.hostname, report.identity.pid), report.gauges.get(_CLAIM_RATE)
        if report.seen_at >= since and place in places and rate is not None:
            rates[place] = max(rate, rates.get(place, 0.0))
    return sum(rates.values()) if rates else None


def _takes(identity: WorkerIdentity, job_type: str, queue: str) -> bool:
    return identity.knows(job_type) and identity.serves(queue)
