"""Jobs that reach a worker: by a claim, by a match at their submission, or found under its lease."""

from collections.abc import Collection, Sequence
from datetime import timedelta

from schedora.application.pipeline.claim_rate import ClaimRate
from schedora.application.pipeline.claimer import Claimer
from schedora.application.pipeline.completion_metrics import count_claims
from schedora.application.pipeline.execute import DRAINED
from schedora.application.pipeline.handler_pool import NO_ROOM, HandlerPool
from schedora.application.pipeline.observers import Observers
from schedora.application.pipeline.publish import publish_claimed
from schedora.application.pipeline.taken_leases import TakenLeases
from schedora.application.ports.clock import Clock
from schedora.application.ports.job_queue import ClaimRequest, SyncAnswer
from schedora.application.ports.metrics import Counter
from schedora.application.ports.wakeup import Wakeup
from schedora.domain.claimed_job import ClaimedJob

MORE_WORK_INTERVAL = timedelta(seconds=1)
"""A worker that finds all it can take says so once in this time."""


class Arrivals:
    """Passes them on to the pool, which runs them; releases them if the worker takes no more."""

    def __init__(
        self,
        *,
        claimer: Claimer,
        pool: HandlerPool,
        taken: TakenLeases,
        observers: Observers,
        wakeup: Wakeup,
        clock: Clock,
    ) -> None:
        self.claim_rate = ClaimRate(clock)
        self._claimer = claimer
        self._pool = pool
        self._taken = taken
        self._observers = observers
        self._wakeup = wakeup
        self._clock = clock
        self._full = False
        """Whether the last claim found all that it asked for."""
        self._more_work_at = clock.monotonic()

    def claimed(self, claim: ClaimRequest, answer: SyncAnswer) -> None:
        """Jobs that came with a claim."""
        self._take(answer.claimed)
        if missed := self._claimer.answered(claim, answer):
            self._observers.metrics.count(Counter.WAKEUPS_MISSED, amount=missed)
        count_claims(self._observers.metrics, answer.claimed)
        self._share(claim, answer.claimed)

    def found(self, jobs: Collection[ClaimedJob]) -> None:
        """Jobs that came by no claim."""
        self._taken.note(jobs)
        self._take(jobs)

    def matched(self, job: ClaimedJob) -> None:
        """A job that was leased to this worker as it was stored. One that would wait for long is released at once:
        another worker may have room.
        """
        self._taken.note([job])
        if self._claimer.may_claim and not self._claimer.able:
            publish_claimed(self._observers.events, [job])
            self._pool.release(job, NO_ROOM)
        else:
            self._take([job])
        count_claims(self._observers.metrics, [job])
        self._observers.metrics.count(Counter.JOBS_SYNC_MATCHED)

    def _take(self, jobs: Collection[ClaimedJob]) -> None:
        publish_claimed(self._observers.events, jobs)
        self.claim_rate.count(len(jobs))
        if self._claimer.may_claim:
            self._pool.take(jobs)
            return
        for job in jobs:  # asked to drain while they were under way
            self._pool.release(job, DRAINED)

    def _share(self, claim: ClaimRequest, claimed: Sequence[ClaimedJob]) -> None:
        """Where one finds all that it can take there is more, for others: each wakes others, which do so in turn. One
        job for one slot says less: many can't be woken for each of those.
        """
        was_full, self._full = self._full, len(claimed) == claim.limit
        now = self._clock.monotonic()
        more_work = claim.limit > 1
        if self._full and (now >= self._more_work_at or (more_work and not was_full)):
            self._more_work_at = now + MORE_WORK_INTERVAL
            self._wakeup.notify(queues={job.queue for job in claimed}, more_work=more_work)
