"""How a worker comes to its end: it takes nothing new, finishes what runs, and stops what does not finish in time."""

from datetime import timedelta

from schedora.application.log import Logger
from schedora.application.pipeline.execute import DRAINED
from schedora.application.pipeline.handler_pool import HandlerPool
from schedora.application.pipeline.registration import Registration
from schedora.application.pipeline.run import StopReason
from schedora.application.pipeline.runs import GRACE
from schedora.application.ports.clock import Clock

log = Logger("schedora.worker")


class Drain:
    """The drain of one worker's process. Once it has begun it is never undone."""

    def __init__(
        self,
        *,
        registration: Registration,
        pool: HandlerPool,
        clock: Clock,
        timeout: timedelta,
        replaceable: bool,
    ) -> None:
        """``replaceable``: whether a new process replaces one that ends because it needs a restart."""
        self._registration = registration
        self._pool = pool
        self._clock = clock
        self._timeout = timeout
        self._replaceable = replaceable
        self._deadline: timedelta | None = None
        self.waited_for = False
        """Whether somebody waits for the end of the process."""

    @property
    def begun(self) -> bool:
        return self._deadline is not None

    def begin(self) -> None:
        """What waits for a slot is released, and what runs has the shutdown timeout from now on."""
        self._deadline = self._clock.monotonic() + self._timeout
        self._pool.release_buffer(DRAINED)

    def begin_if_stuck(self) -> None:
        """Begins before the worker runs out of slots: what is stuck is ended with the process, and a fresh one has all
        slots.
        """
        if not self._replaceable or self.begun or self._registration.drained_by_request:
            return
        stuck = self._pool.runs.stuck()
        if len(stuck) * 2 >= self._pool.count:
            log.error(
                "handlers that do not stop hold half of the slots: the worker drains, and a fresh process takes over",
                worker_id=self._registration.identity.worker_id,
                stuck=len(stuck),
                slots=self._pool.count,
                job_types=sorted({run.job.type for run in stuck}),
            )
            self.begin()

    def enforce_deadline(self) -> None:
        """Stops what still runs when the shutdown timeout is over."""
        if self._deadline is not None and self._clock.monotonic() >= self._deadline:
            self._pool.stop_all(StopReason.DRAINED)

    @property
    def gives_up(self) -> bool:
        """Whether the process ends with outcomes that the store has not taken: a reaper rescues those jobs."""
        if self._deadline is None or not self.waited_for:
            return False
        return self._clock.monotonic() >= self._deadline + GRACE * 2

    @property
    def next_at(self) -> timedelta | None:
        """When to look again, on the monotonic clock."""
        if self._deadline is None:
            return None
        now = self._clock.monotonic()
        return self._deadline if now < self._deadline else now + GRACE
