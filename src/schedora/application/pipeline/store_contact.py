"""Whether the store answers, and when it is asked again after a failure."""

from datetime import timedelta

from schedora.application.backoff import Backoff
from schedora.application.errors import LockConflict, StoreUnavailable
from schedora.application.log import Logger
from schedora.application.pipeline.completion_buffer import CompletionBuffer
from schedora.application.pipeline.poll_scheduler import PollScheduler
from schedora.application.ports.clock import Clock
from schedora.application.ports.randomness import Randomness
from schedora.domain.ids import WorkerId

log = Logger("schedora.worker")

RETRY_FIRST = timedelta(seconds=0.1)
RETRY_LONGEST = timedelta(seconds=5)


class StoreContact:
    """What one worker knows of the store by its answers. After each failure in a row the store is left alone for longer."""

    def __init__(
        self,
        *,
        worker_id: WorkerId,
        clock: Clock,
        randomness: Randomness,
        poll_scheduler: PollScheduler,
        completion_buffer: CompletionBuffer,
    ) -> None:
        self._worker_id = worker_id
        self._clock = clock
        self._backoff = Backoff(randomness.unit, first=RETRY_FIRST, longest=RETRY_LONGEST)
        self._poll_scheduler = poll_scheduler
        self._completion_buffer = completion_buffer
        self.failures = 0
        """The number of failures so far."""
        self._is_away = False
        self._failed_at = self._answered_at = self.retry_at = clock.monotonic()

    @property
    def waits(self) -> bool:
        """Whether the store is left alone for now, until ``retry_at``."""
        return self._clock.monotonic() < self.retry_at

    def silence(self) -> timedelta:
        """The time since the last answer."""
        return self._clock.monotonic() - self._answered_at

    def progressed(self) -> None:
        """The store answered a question; this does not end a failure that was seen."""
        self._answered_at = self._clock.monotonic()

    def answered(self, asked_at: timedelta) -> None:
        """The store completed a batch that began at ``asked_at``. A batch older than the last failure says nothing
        of the time after it.
        """
        self.progressed()
        if asked_at < self._failed_at:
            return
        self._backoff.reset()
        if self._is_away:
            self._is_away = False
            log.info("the store is back", worker_id=self._worker_id)

    def retry_now(self) -> None:
        """Ends the wait: the store answered on another connection."""
        self.retry_at = self._clock.monotonic()

    def failed(self, error: StoreUnavailable) -> None:
        """Leaves the store alone for a while. What happened there is not known: everything is looked at again."""
        self.failures += 1
        self._failed_at = self._clock.monotonic()
        if isinstance(error, LockConflict):
            log.debug("others were in the way", error=str(error), worker_id=self._worker_id)
        elif not self._is_away:
            self._is_away = True
            log.warning(
                "the store is away; outcomes are kept", error=str(error), kept=len(self._completion_buffer)
            )
        self._poll_scheduler.hint()
        self.retry_at = self._failed_at + self._backoff.next()
