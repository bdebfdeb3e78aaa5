"""What only a simulation sees: every commit, every answer, every slot, and how long things wait.

What records, workflows and effects tell by themselves is in ``schedora_torture.invariants``.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import frozen

from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.tables import Tables
from schedora.application.maintenance.reaper import LONGEST_INTERVAL, ROUNDS_PER_TIMEOUT
from schedora.application.pipeline.claim import BUFFER_AGE_MAX
from schedora.application.pipeline.limits import WorkerLimits
from schedora.application.pipeline.runs import GRACE
from schedora.domain.ids import JobId
from schedora.domain.job_state import JobState
from schedora.entrypoints.settings import Settings

if TYPE_CHECKING:
    from tests.simulation.processes import WorkerProcess


class Seen(StrEnum):
    """Each has one name, which traces and tests go by."""

    NO_DEFECTS = "no_defects"
    """No process ends by an exception, no task fails unheard, and no request fails but by an error that is promised."""
    ONE_HOLDER = "one_holder"
    """A claim ends before the next begins."""
    ONE_COMPLETION_A_CLAIM = "one_completion_a_claim"
    """Of all that is brought under one lease the store accepts one completion at most."""
    ACCEPTED_UNDER_ITS_LEASE = "accepted_under_its_lease"
    """What the store accepts has ended a lease that was live until then."""
    ACCEPTED_IS_STORED = "accepted_is_stored"
    """What the store says that it accepted is what the record says."""
    LOST_WHEN_SILENT = "lost_when_silent"
    """No worker is declared lost that was heard within the timeout."""
    SLOTS_RESPECTED = "slots_respected"
    """No worker runs more handlers than it has slots."""
    SLOTS_FREED = "slots_freed"
    """Where nothing runs every slot is free, and no outcome waits."""
    NOTHING_LOST = "nothing_lost"
    """What was accepted is there, under one id for each idempotency key."""
    SETTLED = "settled"
    """Once troubles are over every job ends, or rests; and it rests for the very reasons that ``why`` tells. Once those are gone it
    ends as well.
    """
    CLAIMED_IN_TIME = "claimed_in_time"
    """A job that is ready, while a worker has room for it, is claimed within the longest interval of polls."""
    RESCUED_IN_TIME = "rescued_in_time"
    """A job of a lost worker is given back within the timeouts and a reaper's round."""
    STARTED_IN_TIME = "started_in_time"
    """A job that is claimed starts, or goes back, within the age of a buffer and the interval of lease checks."""
    ENDED_IN_TIME = "ended_in_time"
    """A run ends within its timeout, its grace and the interval of lease checks."""


@frozen(kw_only=True)
class Bounds:
    """How long anything may wait that nothing troubles: sums of the intervals that the engine goes by."""

    excuse: timedelta
    """How long a trouble of the store is felt after its end."""
    claim: timedelta
    rescue: timedelta
    start: timedelta
    end: timedelta

    @classmethod
    def of(cls, settings: Settings, limits: WorkerLimits, journey: timedelta) -> "Bounds":
        """``journey``: what a call to the store may take each way in the worst of times."""
        timeout = timedelta(seconds=settings.worker_heartbeat_timeout)
        rounds = min(LONGEST_INTERVAL, timeout / ROUNDS_PER_TIMEOUT)
        check = limits.lease_check_idle + MARGIN
        return cls(
            excuse=LONGEST_BACKOFF + 2 * journey,
            claim=limits.poll_policy.poll_longest * SPREAD + MARGIN,
            # A sign of life beside the store ends one timeout after the last one in the store.
            rescue=2 * timeout + rounds * SPREAD + MARGIN,
            start=check + BUFFER_AGE_MAX + GRACE,
            end=check + 2 * GRACE,
        )


LONGEST_BACKOFF = LONGEST_INTERVAL
"""Between attempts to reach a store that is away: the reaper's, which is longer than a worker's."""
SPREAD = 1.2
"""Polls and rounds are longer than their interval by so much, at most."""
MARGIN = timedelta(seconds=1)
"""For calls on their way, and for looking once a second."""


@frozen
class Late:
    """``told`` is for people."""

    invariant: Seen
    told: str


class Waiting:
    """Looks again and again whether anything waits for longer than it may. Lost hints and silent helpers excuse nothing:
    only troubles of the store do, and of the worker itself.
    """

    def __init__(self, store: MemoryStore, bounds: Bounds, name_of: Callable[[JobId], str]) -> None:
        self._store = store
        self._bounds = bounds
        self._name_of = name_of
        self._calm_since = store.clock.now()
        self._able_since: dict[str, datetime] = {}
        self._released_at: dict[JobId, datetime] = {}

    def troubled(self) -> None:
        """Whatever waits now has an excuse."""
        self._calm_since = self._store.clock.now() + self._bounds.excuse

    def unclaimed(self, workers: "Sequence[WorkerProcess]") -> Iterator[Late]:
        """Jobs that should have been claimed by now."""
        now = self._store.clock.now()
        with self._store.committed() as tables:
            self._note_able(workers, now)
            yield from self._unclaimed(tables, workers, now)

    def held(self, workers: "Sequence[WorkerProcess]") -> Iterator[Late]:
        """Jobs whose claim should have come further by now, where no worker is in trouble."""
        now = self._store.clock.now()
        live = {
            process.worker.incarnation
            for process in workers
            if process.running and process.worker is not None
        }
        with self._store.committed() as tables:
            for job_id, lease in self._store.index.leases.items():
                job = tables.jobs[job_id]
                if lease.owner not in live:
                    owner = tables.workers.get(lease.owner)
                    heard = self._calm_since if owner is None else owner.last_heartbeat
                    if now - max(heard, self._calm_since) > self._bounds.rescue:
                        yield Late(Seen.RESCUED_IN_TIME, f"{self._name_of(job_id)} of lost {lease.worker_id}")
                elif job.status is JobState.SCHEDULED:
                    if now - max(lease.claimed_at, self._calm_since) > self._bounds.start:
                        yield Late(Seen.STARTED_IN_TIME, f"{self._name_of(job_id)} with {lease.worker_id}")
                elif (
                    now - max(lease.started_at or now, self._calm_since)
                    > job.request.timeout + self._bounds.end
                ):
                    yield Late(Seen.ENDED_IN_TIME, f"{self._name_of(job_id)} on {lease.worker_id}")

    def _note_able(self, workers: "Sequence[WorkerProcess]", now: datetime) -> None:
        for process in workers:
            worker = process.worker
            able = (
                process.running and worker is not None and not process.held_up and worker.stages.claimer.able
            )
            if not able:
                self._able_since.pop(process.name, None)
            else:
                self._able_since.setdefault(process.name, now)

    def _unclaimed(self, tables: Tables, workers: "Sequence[WorkerProcess]", now: datetime) -> Iterator[Late]:
        ready = [
            job
            for place in self._store.index.ready
            if not tables.queues[(job := tables.jobs[place.job_id]).request.queue].paused
        ]
        self._released_at = {job.job_id: self._released_at.get(job.job_id, now) for job in ready}
        for job in ready:
            since = max(job.scheduled_at, self._released_at[job.job_id], self._calm_since)
            if now - since <= self._bounds.claim:
                continue
            for process in workers:
                able_since = self._able_since.get(process.name)
                if process.takes(job) and able_since is not None and now - able_since > self._bounds.claim:
                    yield Late(
                        Seen.CLAIMED_IN_TIME,
                        f"{self._name_of(job.job_id)} is ready since {since:%H:%M:%S}, and {process.name} idles",
                    )


def leaked_slots(process: "WorkerProcess") -> str | None:
    """What is left in a worker for which nothing runs; None where nothing is."""
    worker = process.worker
    if not process.running or worker is None:
        return None
    pool = worker.stages.pool
    left = (
        f"{len(pool.runs.running)} runs, {pool.buffered} jobs waiting, {pool.free} of {pool.count} slots free"
    )
    if pool.busy or pool.free != pool.count or len(worker.stages.completion_buffer):
        return f"{process.name} has {left}, {len(worker.stages.completion_buffer)} outcomes"
    return None
