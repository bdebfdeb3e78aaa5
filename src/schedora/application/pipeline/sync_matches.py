"""Jobs that were leased to a worker as they were stored, and came with a hint."""

from datetime import timedelta

from schedora.application.pipeline.arrivals import Arrivals
from schedora.application.pipeline.registration import Registration
from schedora.application.pipeline.store_time import StoreTime
from schedora.application.pipeline.taken_leases import TakenLeases
from schedora.domain.claimed_job import ClaimedJob

MATCH_AGE_MAX = timedelta(seconds=1)
"""Of a match that arrives later the lease is checked first: the job may have been canceled."""


class SyncMatches:
    def __init__(
        self,
        *,
        registration: Registration,
        taken: TakenLeases,
        store_time: StoreTime,
        arrivals: Arrivals,
        live_for: timedelta,
    ) -> None:
        self._registration = registration
        self._taken = taken
        self._store_time = store_time
        self._arrivals = arrivals
        self._live_for = live_for

    def take(self, job: ClaimedJob) -> bool:
        """Runs the job, or releases it where there is no room for it any more. Returns False where it is left for a lease
        check to find.
        """
        if job.owner != self._registration.incarnation:
            return True  # of an earlier life, which the reaper ends
        if job.lease_id in self._taken:
            return True  # a check was faster
        age = self._store_time.now() - job.claimed_at
        if age > MATCH_AGE_MAX or self._registration.silence() > self._live_for:
            return False
        self._arrivals.matched(job)
        return True
