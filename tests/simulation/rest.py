"""Jobs at rest: nothing is done with them until somebody does something, and ``why`` has to say what is in their way."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.tables import Tables
from schedora.diagnosis.why.reason import BLOCKING, ReasonCode, Why
from schedora.domain.ids import JobId
from schedora.domain.job import Job
from schedora.domain.job_state import WAITING, JobState
from schedora.domain.worker import LIVE, WorkerState
from tests.simulation.processes import WorkerProcess
from tests.simulation.workload import UNKNOWN

FAR: Final = timedelta(hours=1)
"""What is due later is not waited for."""


def resting(
    store: MemoryStore, workers: Iterable[WorkerProcess]
) -> Mapping[JobId, frozenset[ReasonCode]] | None:
    """Why each job that has not ended rests, found without the help of ``why``; None while any goes on by itself."""
    with store.committed() as tables:
        status = _status_of(tables, workers)
        if status is None:
            return None
        found = {
            job.job_id: _in_its_way(tables, job, status, store.clock.now())
            for job in tables.jobs.values()
            if not job.ended
        }
    return found if all(found.values()) else None


def told(why: Why) -> frozenset[ReasonCode]:
    """What no claim passes."""
    return frozenset(reason.code for reason in why.reasons) & BLOCKING


def _status_of(
    tables: Tables, workers: Iterable[WorkerProcess]
) -> Mapping[WorkerProcess, WorkerState] | None:
    """Of each worker; None while the store has them otherwise."""
    registered = {
        worker.incarnation: worker.status for worker in tables.workers.values() if worker.status in LIVE
    }
    status = {
        process: registered.pop(process.worker.incarnation)
        for process in workers
        if process.running and process.worker is not None and process.worker.incarnation in registered
    }
    return status if len(status) == len([*workers]) and not registered else None


def _in_its_way(
    tables: Tables, job: Job, status: Mapping[WorkerProcess, WorkerState], now: datetime
) -> frozenset[ReasonCode]:
    """Nothing, where it does not rest."""
    if job.status not in WAITING or now < job.scheduled_at <= now + FAR:
        return frozenset()
    found = set()
    if job.waits_for:
        found.add(ReasonCode.WAITS_FOR_JOBS)
    if job.scheduled_at > now:
        retries = job.status is JobState.RETRYING
        found.add(ReasonCode.RETRIES_LATER if retries else ReasonCode.DUE_LATER)
    if tables.queues[job.request.queue].paused:
        found.add(ReasonCode.QUEUE_PAUSED)
    if job.request.type == UNKNOWN:
        found.add(ReasonCode.TYPE_UNKNOWN)
    elif WorkerState.ACTIVE not in _of_those_that_take(job, status):
        found.add(ReasonCode.WORKERS_DRAINING)
    return frozenset(found)


def _of_those_that_take(job: Job, status: Mapping[WorkerProcess, WorkerState]) -> Sequence[WorkerState]:
    """One worker at least serves every queue."""
    return [state for process, state in status.items() if process.takes(job)]
