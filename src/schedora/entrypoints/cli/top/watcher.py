"""Reads the API for the board: looks at regular intervals, and failures as they are told.

A look is three requests, every tenth one has a fourth. Failures come over one event stream; those from before it is
ready are looked up. Somebody who listens makes every process tell what it does, so the stream is left while more happens
than ``CALM_PER_SECOND``, and the newest failures are looked up instead. And nobody reads a thousand failures a second: of more than ``TOLD_MAX`` between two looks, the rest
is left unread.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Any

from schedora.domain.job_state import JobState
from schedora.entrypoints.cli.top.board import Board, Failure, Look
from schedora.entrypoints.cli.top.exposition import read
from schedora.entrypoints.sdk.api_views import HealthView
from schedora.entrypoints.sdk.client import AsyncSchedoraClient
from schedora.entrypoints.sdk.errors import NotFoundError, SchedoraError
from schedora.entrypoints.sdk.event_views import JobMove
from schedora.entrypoints.sdk.views import JobView

CALM_PER_SECOND = 2_000.0
"""Jobs."""
CALM_AGAIN = 0.75
"""Of that: below it the stream is taken up again, so that it is not for every gust."""

TOLD_MAX = 50
"""Failures, between two looks."""

HEALTH_LOOKS = 10
LOOKED_UP_LOOKS = 5
"""Each so many looks."""

LOOKED_UP = 20
PAUSE_SECONDS = 5.0
"""Before a stream is opened again that could not be."""

FAILED_TO = (JobState.RETRYING, JobState.DEAD)

BUSY = f"some, above {CALM_PER_SECOND:,.0f} jobs/s"
SAMPLED = f"{TOLD_MAX} of each look"


class Watcher:
    """``changed`` is called whenever the board has something new."""

    def __init__(
        self,
        client: AsyncSchedoraClient,
        board: Board,
        interval_seconds: float,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._board = board
        self._interval_seconds = interval_seconds
        self._changed = changed
        self._looks = 0
        self._health: HealthView | None = None
        self._told = 0
        self._more = asyncio.Event()
        self._soon = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until it is canceled."""
        try:
            while True:
                started_at = time.monotonic()
                await self._round()
                spent_seconds = time.monotonic() - started_at
                await self._rest(max(self._interval_seconds - spent_seconds, self._interval_seconds / 10))
        finally:
            await self._leave()

    def hurry(self) -> None:
        """The next look is taken at once: somebody has done something, and wants to see it."""
        self._soon.set()

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._soon.wait()
        self._soon.clear()

    async def look(self) -> Look:
        """One look. Raises ``SchedoraError``."""
        if self._health is None or self._looks % HEALTH_LOOKS == 0:
            self._health = await self._client.health()
        stats, workers, text = await asyncio.gather(
            self._client.queue_stats(), self._client.list_workers(), self._client.metrics()
        )
        self._looks += 1
        look = Look(
            at=time.monotonic(),
            now=datetime.now(UTC),
            stats=stats,
            workers=workers.workers,
            exposed=read(text),
            health=self._health,
        )
        self._board.take(look)
        return look

    async def look_up_failures(self) -> None:
        """The newest of those that are kept. Raises ``SchedoraError``."""
        page = await self._client.list_jobs(status=FAILED_TO, limit=LOOKED_UP)
        self._board.take_failures(failure for job in page if (failure := failure_of(job)) is not None)

    async def _round(self) -> None:
        try:
            if self._looks == 0:
                await self.look_up_failures()
            await self.look()
            await self._attend()
            await self._ask_for_messages()
        except SchedoraError as error:
            self._health = None
            self._board.lose(str(error), time.monotonic())
        self._changed()

    async def _attend(self) -> None:
        """Follows failures, or looks them up."""
        if self._following is not None and self._following.done():
            self._following.result()  # it never ends but by a defect
        rates = self._board.rates()
        per_second = max(rates.submitted or 0.0, (rates.done or 0.0) + (rates.failed or 0.0))
        if self._following is None and per_second < CALM_PER_SECOND * CALM_AGAIN:
            self._following = asyncio.create_task(self._follow())
        elif self._following is not None and per_second > CALM_PER_SECOND:
            await self._leave()
        sampled = self._told >= TOLD_MAX
        self._told = 0
        self._more.set()
        if self._following is None:
            self._board.failures_note = BUSY
            if self._looks % LOOKED_UP_LOOKS == 0:
                await self.look_up_failures()
        else:
            self._board.failures_note = SAMPLED if sampled else None

    async def _follow(self) -> None:
        """From stream to stream."""
        while True:
            try:
                await self._follow_some()
                # What was left unread is told no more: a stream that is opened anew begins with what happens then.
                self._more.clear()
                await self._more.wait()
            except SchedoraError:  # the looks tell that the server is away
                await asyncio.sleep(PAUSE_SECONDS)

    async def _follow_some(self) -> None:
        """As many as may be told until the next look."""
        async with aclosing(self._client.stream_events(status=FAILED_TO)) as events:
            async for event in events:
                if not isinstance(event, JobMove):  # ready, or a gap: what failed before it was not told
                    await self.look_up_failures()
                else:
                    self._board.take_failures([_told(event)])
                    self._told += 1
                    if self._told >= TOLD_MAX:
                        return

    async def _ask_for_messages(self) -> None:
        """Notices say what kind of failure it was; the record says more."""
        await asyncio.gather(*map(self._ask_for_message, self._board.without_message()))

    async def _ask_for_message(self, failure: Failure) -> None:
        try:
            job = await self._client.get_job(failure.job_id)
        except NotFoundError:  # deleted meanwhile
            self._board.take_message(failure, "")
            return
        told = [error.message for error in job.errors if error.at == failure.at]
        self._board.take_message(failure, told[-1] if told else "")

    async def _leave(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
            self._following = None


def failure_of(job: JobView[Any]) -> Failure | None:
    """Its last one; None where it has none."""
    if not job.errors:
        return None
    error = job.errors[-1]
    return Failure(
        job_id=job.job_id,
        type=job.type,
        queue=job.queue,
        at=error.at,
        attempt=error.attempt,
        worker_id=error.worker_id,
        kind=error.kind,
        came_to=job.status,
        message=error.message,
    )


def _told(move: JobMove) -> Failure:
    return Failure(
        job_id=move.job_id,
        type=move.type,
        queue=move.queue,
        at=move.at,
        attempt=move.attempt,
        worker_id=move.worker_id,
        kind=move.reason or "",
        came_to=move.to_state,
    )
