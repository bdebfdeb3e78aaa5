"""Who holds a job, and under which proof.

A claim creates a lease; whatever ends the claim removes it. ``lease_id`` is the proof that every write after
the claim must carry: random, because a counter alone can repeat after a failover that lost its last commits.
``token`` is what a handler shows to other systems: it grows by one at each claim of the job.
"""

from datetime import datetime

from attrs import frozen

from schedora.domain.ids import IncarnationId, JsonText, LeaseId, LeaseToken, WorkerId


@frozen(kw_only=True)
class Lease:
    lease_id: LeaseId
    token: LeaseToken
    owner: IncarnationId
    worker_id: WorkerId
    claimed_at: datetime
    started_at: datetime | None = None
    """None while the job is claimed and its attempt has not started."""
    progress: JsonText | None = None
    """What the handler last reported of itself."""
