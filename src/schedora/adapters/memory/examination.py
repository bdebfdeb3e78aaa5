"""What there is to be said of a store in memory: that it is one, and how its work goes on."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import islice

from schedora.adapters.memory.explain_inputs_reader import released_at
from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.store import MemoryStore
from schedora.application.ports.examination import Check, Expected
from schedora.application.reported import running_processes
from schedora.diagnosis.doctor.processes import Processes
from schedora.diagnosis.doctor.reach import MemoryStoreInUse
from schedora.diagnosis.doctor.work import DIED_WITHIN, Crew, Died, Waiting, Work
from schedora.diagnosis.why.inputs import became_ready
from schedora.domain.job_state import JobState
from schedora.domain.process import FRESH_FOR

_LOOKED_AT_MAX = 10_000
"""Jobs, newest first."""


class MemoryExamination:
    def __init__(self, store: MemoryStore, expected: Expected) -> None:
        self.faults: Faults = store.faults
        self._store = store
        self._expected = expected

    @asynccontextmanager
    async def begun(self) -> AsyncIterator[Sequence[Check]]:
        yield (Check("database", self.reach), Check("processes", self.processes), Check("work", self.work))

    @fallible
    async def reach(self) -> MemoryStoreInUse:
        return MemoryStoreInUse()

    @fallible
    async def processes(self) -> Processes:
        with self._store.committed() as tables:
            since = self._store.clock.now() - FRESH_FOR
            reports = [report for report in tables.processes.values() if report.seen_at >= since]
        return Processes(version=self._expected.version, processes=running_processes(reports))

    @fallible
    async def work(self) -> Work:
        with self._store.committed() as tables:
            now = self._store.clock.now()
            oldest: dict[tuple[str, str], timedelta] = {}
            for place in self._store.index.ready:
                job = tables.jobs[place.job_id]
                last_move = job.history[-1] if job.history else None
                waited = now - became_ready(
                    job.created_at, job.scheduled_at, released_at(tables, job), last_move
                )
                if waited >= timedelta(0):
                    lane = (job.request.queue, job.request.type)
                    oldest[lane] = max(waited, oldest.get(lane, waited))
            died = Counter(
                job.request.queue
                for job in (
                    tables.jobs[job_id] for job_id in islice(reversed(self._store.index.ids), _LOOKED_AT_MAX)
                )
                if job.status is JobState.DEAD
                and job.completed_at is not None
                and now - job.completed_at <= DIED_WITHIN
            )
            return Work(
                version=self._expected.version,
                heartbeat_timeout=self._expected.heartbeat_timeout,
                crew=[
                    Crew(
                        worker=worker.identity.worker_id,
                        host=worker.identity.hostname,
                        version=worker.identity.version,
                        status=worker.status,
                        queues=worker.identity.queues,
                        types=frozenset(worker.identity.types),
                        silent_for=now - worker.last_heartbeat,
                    )
                    for worker in tables.workers.values()
                ],
                waiting=[
                    Waiting(queue=queue, type=kind, oldest=age) for (queue, kind), age in oldest.items()
                ],
                paused=frozenset(queue.name for queue in tables.queues.values() if queue.paused),
                died=[Died(queue=queue, jobs=jobs) for queue, jobs in sorted(died.items())],
            )
