"""Which jobs came to a worker by no claim."""

from collections import OrderedDict
from collections.abc import Iterable

from schedora.application.pipeline.store_time import StoreTime
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import LeaseId

TAKEN_MAX = 5_000
"""So many jobs that came by no claim are remembered: more than come within ``MATCH_AGE_MAX``."""


class TakenLeases:
    """The newest leases that came by no claim: a message and a check may bring the same job, and it is taken once."""

    def __init__(self, store_time: StoreTime) -> None:
        self._store_time = store_time
        self._taken: OrderedDict[LeaseId, None] = OrderedDict()

    def __contains__(self, lease_id: LeaseId) -> bool:
        return lease_id in self._taken

    def note(self, jobs: Iterable[ClaimedJob]) -> None:
        """Remembers these; of more than ``TAKEN_MAX`` the oldest are forgotten. The store's clock has reached their claims."""
        for job in jobs:
            self._taken[job.lease_id] = None
            self._store_time.reached(job.claimed_at)
        while len(self._taken) > TAKEN_MAX:
            self._taken.popitem(last=False)
