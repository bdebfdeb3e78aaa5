"""Whether to ask the store for jobs, and for how many."""

from datetime import timedelta

from schedora.application.pipeline.claim import PrefetchSizer
from schedora.application.pipeline.drain import Drain
from schedora.application.pipeline.handler_pool import HandlerPool
from schedora.application.pipeline.listening import Listening
from schedora.application.pipeline.outcomes import Outcomes
from schedora.application.pipeline.poll_scheduler import PollScheduler
from schedora.application.pipeline.registration import Registration
from schedora.application.ports.job_queue import ClaimRequest, SyncAnswer
from schedora.domain.worker import WorkerIdentity, WorkerState

HINT_TAKES_MAX = timedelta(seconds=1)
"""What has been due for longer, a hint should have told of."""
NO_TIME = timedelta(0)


class Claimer:
    def __init__(
        self,
        *,
        identity: WorkerIdentity,
        registration: Registration,
        drain: Drain,
        poll_scheduler: PollScheduler,
        listening: Listening,
        pool: HandlerPool,
        outcomes: Outcomes,
    ) -> None:
        self._identity = identity
        self._registration = registration
        self._drain = drain
        self._poll_scheduler = poll_scheduler
        self._listening = listening
        self._pool = pool
        self._outcomes = outcomes
        self._prefetch_sizer = PrefetchSizer(identity.max_concurrent_jobs)

    @property
    def may_claim(self) -> bool:
        """Whether the worker takes new jobs at all."""
        return self._registration.status is WorkerState.ACTIVE and not self._drain.begun

    @property
    def able(self) -> bool:
        """Whether there is room for jobs that a claim would bring."""
        return self.may_claim and not self._outcomes.full and self._wanted > 0

    @property
    def next_at(self) -> timedelta | None:
        """When a claim is due next unless something happens before, on the monotonic clock."""
        if not self.may_claim or self._outcomes.full:
            return None
        return self._poll_scheduler.next_at if self._pool.free else self._poll_scheduler.expected_at

    def request(self) -> ClaimRequest | None:
        """The claim that is due; None if none is. It has to be sent."""
        owner = self._registration.incarnation
        if owner is None or not self.may_claim or not self._poll_scheduler.due or self._outcomes.full:
            return None
        durations = self._pool.runs.durations
        if durations:
            self._prefetch_sizer.learn(durations)
            durations.clear()
        if (want := self._wanted) == 0:
            return None
        self._poll_scheduler.looking()
        return ClaimRequest(
            owner=owner,
            worker_id=self._identity.worker_id,
            queues=self._identity.queues,
            types=self._identity.types,
            limit=want,
            start_count=self._pool.free,
        )

    def answered(self, claim: ClaimRequest, answer: SyncAnswer) -> int:
        """Plans the next claim by what this one found. Returns how many jobs no hint told of though hints are said to
        arrive.
        """
        found = len(answer.claimed)
        return self._poll_scheduler.looked(
            hints_arrive=self._listening.healthy,
            found=found,
            overdue=sum((job.was_due_for or NO_TIME) > HINT_TAKES_MAX for job in answer.claimed),
            more_likely=found == claim.limit,
            next_due_in=None if answer.next_due_at is None else answer.next_due_at - answer.at,
        )

    @property
    def _wanted(self) -> int:
        return self._prefetch_sizer.want(free_slots=self._pool.free, buffered=self._pool.buffered)
