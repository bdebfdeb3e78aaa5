"""Jobs under which a worker died: no one starts before its start is on record, and on their last chance no two
run at once in one worker.

What takes its worker down takes down all that runs beside it, and each is counted a worker's death. Run in the
same company again and again, the innocent would be taken for poison with the guilty. Apart from one another,
only the guilty are running when their worker dies for the last time.
"""

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from attrs import evolve, frozen

from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import LeaseId


@frozen
class _Waiting:
    since: timedelta
    job: ClaimedJob


class Suspects:
    """Those of one worker that wait for a slot or for their start to be recorded, in the order to run."""

    def __init__(self, *, worker_deaths_max: int) -> None:
        self._worker_deaths_max = worker_deaths_max
        self._waiting: dict[LeaseId, _Waiting] = {}
        self._called: set[LeaseId] = set()
        self._starts: dict[LeaseId, datetime] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def called(self) -> int:
        """How many have a slot kept while their start is being recorded."""
        return len(self._called)

    @property
    def leases(self) -> AbstractSet[LeaseId]:
        return self._waiting.keys()

    @property
    def oldest(self) -> timedelta | None:
        """Since when the first of those waits that have no slot."""
        return next((entry.since for entry in self._waiting.values() if not self._is_called(entry)), None)

    def add(self, job: ClaimedJob, since: timedelta) -> None:
        self._waiting[job.lease_id] = _Waiting(since, job)

    def call(self, free: int, running: Collection[ClaimedJob]) -> list[ClaimedJob]:
        """Keeps up to ``free`` slots for those that may start next; answers all whose start is to be recorded."""
        at_stake = any(map(self.on_last_chance, running))
        for entry in self._waiting.values():
            last_chance = self.on_last_chance(entry.job)
            if self._is_called(entry):
                at_stake = at_stake or last_chance
            elif free > 0 and not (at_stake and last_chance):
                self._called.add(entry.job.lease_id)
                at_stake = at_stake or last_chance
                free -= 1
        return [entry.job for entry in self._waiting.values() if self._is_called(entry)]

    def start_of(self, lease_id: LeaseId, now: datetime) -> datetime:
        """When the start of one that is called was to be recorded for the first time: the store keeps what it hears first,
        and whether it heard that is not known where its answer did not come.
        """
        return self._starts.setdefault(lease_id, now)

    def take(self, lease_id: LeaseId) -> ClaimedJob | None:
        """Gives one out; None when it is not here."""
        self._called.discard(lease_id)
        self._starts.pop(lease_id, None)
        entry = self._waiting.pop(lease_id, None)
        return None if entry is None else entry.job

    def take_waiting_since(self, moment: timedelta) -> list[ClaimedJob]:
        """Gives out those that have had no slot since ``moment`` or before."""
        late = [e.job for e in self._waiting.values() if e.since <= moment and not self._is_called(e)]
        for job in late:
            del self._waiting[job.lease_id]
        return late

    def take_all(self) -> list[ClaimedJob]:
        """All, each with the start that the store may have heard: it refuses an end that knows of none where it has one."""
        given = [evolve(e.job, started_at=self._starts.get(e.job.lease_id)) for e in self._waiting.values()]
        self._waiting.clear()
        self._called.clear()
        self._starts.clear()
        return given

    def on_last_chance(self, job: ClaimedJob) -> bool:
        """Whether it is poison if its worker dies once more."""
        return job.suspect and job.worker_deaths >= self._worker_deaths_max - 1

    def _is_called(self, entry: _Waiting) -> bool:
        return entry.job.lease_id in self._called
