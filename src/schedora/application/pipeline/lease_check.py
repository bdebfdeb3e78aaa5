"""Compares the leases that a worker holds with those that the store says it holds."""

from datetime import timedelta

from schedora.application.log import Logger
from schedora.application.pipeline.handler_pool import HandlerPool
from schedora.application.pipeline.run_locks import RunLocking
from schedora.application.pipeline.settlement import Settlement
from schedora.application.pipeline.store_contact import StoreContact
from schedora.application.ports.clock import Clock
from schedora.application.ports.job_queue import JobQueue
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import IncarnationId, LeaseId

log = Logger("schedora.worker")


class LeaseCheck:
    """Due when it is asked for, after a failure of the store, and at intervals."""

    def __init__(
        self,
        *,
        queue: JobQueue,
        pool: HandlerPool,
        settlement: Settlement,
        run_locking: RunLocking,
        contact: StoreContact,
        clock: Clock,
        every: timedelta,
        every_idle: timedelta,
    ) -> None:
        self._queue = queue
        self._pool = pool
        self._settlement = settlement
        self._run_locking = run_locking
        self._contact = contact
        self._clock = clock
        self._every = every
        self._every_idle = every_idle
        self._checked_at = clock.monotonic()
        self._requested = False
        self._failures = contact.failures
        """How many failures of the store were known when the last check began."""

    def request(self) -> None:
        self._requested = True

    @property
    def requested(self) -> bool:
        """Whether there is a reason for a check beside the time."""
        return self._requested or self._failures != self._contact.failures

    @property
    def due(self) -> bool:
        return self.requested or self._clock.monotonic() >= self.next_at

    @property
    def next_at(self) -> timedelta:
        """When a check is due without a request, on the monotonic clock."""
        return self._checked_at + (self._every if self._pool.busy else self._every_idle)

    def begin(self) -> None:
        """A request from now on asks for another check after this one."""
        self._requested = False
        self._failures = self._contact.failures

    async def unknown(self, incarnation: IncarnationId) -> list[ClaimedJob]:
        """Stops the runs whose lease is gone, canceled or given to another worker. Returns the jobs that are this
        worker's without its knowledge: they came with a claim whose answer was lost. No batch may be under way, for
        what it brings or ends must be at hand, or gone, on both sides.
        """
        at_hand = self._pool.held()
        contested = frozenset(self._run_locking.contested)
        held = await self._queue.held(incarnation)
        self._checked_at = self._clock.monotonic()
        self._contact.progressed()
        self._pool.lose(at_hand - held)
        self._run_locking.confirmed(contested)
        if held <= self.known():
            return []
        claims = await self._queue.claims(incarnation)
        known = self.known()  # by now: of one that was matched it may have been told meanwhile
        if unknown := [job for job in claims if job.lease_id not in known]:
            log.info("jobs found under this worker's lease", jobs=len(unknown))
        return unknown

    async def never_started(self, incarnation: IncarnationId) -> list[ClaimedJob]:
        """The jobs that are this worker's without its knowledge, and that nobody has started."""
        claims = await self._queue.claims(incarnation)
        known = self.known()
        return [job for job in claims if job.started_at is None and job.lease_id not in known]

    def known(self) -> set[LeaseId]:
        """The leases of all jobs that run, wait, or have ended without an answer of the store."""
        return self._pool.held() | self._settlement.leases()
