"""The register of workers and their heartbeats."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Protocol

from attrs import frozen

from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import IncarnationId, WorkerId
from schedora.domain.worker import Worker, WorkerIdentity, WorkerState
from schedora.domain.worker_death import WorkerDeath


@frozen(kw_only=True)
class SilentWorker:
    incarnation: IncarnationId
    worker_id: WorkerId
    silent_for: timedelta
    seen_dead: bool = False


class Workers(Protocol):
    async def register(self, identity: WorkerIdentity, incarnation: IncarnationId) -> Worker:
        """ACTIVE from now on. The same incarnation again renews what it tells of itself and its heartbeat."""
        ...

    async def beat(
        self,
        incarnation: IncarnationId,
        *,
        cpu_percent: float | None,
        memory_percent: float | None,
        stuck_threads: int = 0,
    ) -> WorkerState | None:
        """Notes a sign of life of a live worker. Answers its status, STALE and STOPPED unchanged; None when
        it is unknown.
        """
        ...

    async def set_status(self, incarnations: Collection[IncarnationId], status: WorkerState) -> None: ...

    async def named(self, worker_id: WorkerId) -> list[Worker]:
        """Every incarnation under this name, newest first."""
        ...

    async def registered(self, states: Collection[WorkerState] = ()) -> list[Worker]:
        """Newest first; all when ``states`` is empty."""
        ...

    async def watch(self, gap_max: timedelta) -> timedelta:
        """Notes that somebody looks for silent workers; answers for how long somebody has, without a gap that was longer than
        that. Before, workers may have had nobody to tell that they live. A clock that jumps makes a gap as well.
        """
        ...

    async def silent(self, longer_than: timedelta) -> list[SilentWorker]:
        """Live workers whose last sign of life was longer ago, or whose end was seen, in the order of their
        incarnations.
        """
        ...

    async def declare_stale(
        self, incarnations: Collection[IncarnationId], silent_for: timedelta
    ) -> list[Worker]:
        """Marks as STALE those of them that are live and were silent for longer, or whose end was seen; answers those
        newly marked.
        """
        ...

    async def note_death(self, incarnation: IncarnationId, death: WorkerDeath) -> bool:
        """Keeps how its process ended: whoever calls this has seen the end, or brings it about. Answers whether this
        incarnation is known and has not said good-bye. Registering it again takes that back.
        """
        ...

    async def deaths(self, incarnations: Collection[IncarnationId]) -> Mapping[IncarnationId, WorkerDeath]:
        """Of those whose end was seen."""
        ...

    async def prune(self, older_than: timedelta) -> int:
        """Forgets STALE and STOPPED workers that hold no lease and were silent for longer."""
        ...

    async def lost_jobs(self, limit: int) -> list[ClaimedJob]:
        """Jobs under leases whose owner is not live (any more), in the order of their ids."""
        ...
