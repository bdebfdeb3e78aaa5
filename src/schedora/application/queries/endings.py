"""Wait for jobs to end: any number of waiters, one question to the store at a time."""

import asyncio
from contextvars import Context
from datetime import timedelta

from schedora.application.ports.clock import Clock
from schedora.application.ports.job_reader import JobReader
from schedora.domain.ids import JobId

FIRST_PAUSE = timedelta(milliseconds=10)
LONGEST_PAUSE = timedelta(milliseconds=250)
GROWTH = 1.5
IDS_PER_QUESTION = 1_000


class Endings:
    """Asks the store, while anyone waits, which of the jobs waited for have ended.

    The pauses between questions start short, for what ends soon, and grow, for what does not; a new waiter
    makes them short again.
    """

    def __init__(self, reader: JobReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._waiters: dict[JobId, set[asyncio.Event]] = {}
        self._pause = FIRST_PAUSE
        self._poll: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiters.values()))

    async def wait(self, job_id: JobId, at_most: timedelta) -> bool:
        """Whether the job ended, or is not there, before ``at_most`` had passed.

        Raises what the store raises, ``StoreUnavailable`` above all.
        """
        if await self._reader.ended([job_id]):
            return True
        if at_most <= timedelta(0):
            return False
        event = asyncio.Event()
        self._waiters.setdefault(job_id, set()).add(event)
        self._pause = FIRST_PAUSE
        if self._poll is None or self._poll.done():
            # In a context of its own: it is nobody's in particular.
            self._poll = asyncio.create_task(
                self._ask_while_waited_for(), name="schedora-endings", context=Context()
            )
            self._poll.add_done_callback(_heard)
        poll = self._poll  # others may begin another one as soon as it has failed
        try:
            if not await self._clock.wait(event, at_most):
                return False
        finally:
            self._forget(job_id, event)
        if poll.done() and (error := poll.exception()) is not None:
            raise error
        return True

    async def close(self) -> None:
        if self._poll is not None:
            self._poll.cancel()
            await asyncio.gather(self._poll, return_exceptions=True)

    async def _ask_while_waited_for(self) -> None:
        try:
            while self._waiters:
                await self._clock.sleep(self._pause)
                self._pause = min(self._pause * GROWTH, LONGEST_PAUSE)
                job_ids = list(self._waiters)
                for start in range(0, len(job_ids), IDS_PER_QUESTION):
                    ended = await self._reader.ended(job_ids[start : start + IDS_PER_QUESTION])
                    for job_id in ended:
                        self._wake(job_id)
        except Exception:
            # The waiters must learn of it: each finds the error on the finished task.
            for job_id in list(self._waiters):
                self._wake(job_id)
            raise

    def _wake(self, job_id: JobId) -> None:
        for event in self._waiters.get(job_id, ()):
            event.set()

    def _forget(self, job_id: JobId, event: asyncio.Event) -> None:
        waiters = self._waiters.get(job_id, set())
        waiters.discard(event)
        if not waiters:
            self._waiters.pop(job_id, None)


def _heard(poll: "asyncio.Task[None]") -> None:
    """Its error is that of those who wait; where the last of them has left meanwhile, it is nobody's."""
    if not poll.cancelled():
        poll.exception()
