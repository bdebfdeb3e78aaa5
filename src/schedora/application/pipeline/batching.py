"""What goes to the store with the next batch: completions, starts, and a claim."""

from collections.abc import Collection
from datetime import timedelta

from attrs import frozen

from schedora.application.pipeline.claimer import Claimer
from schedora.application.pipeline.completion_buffer import CompletionBuffer
from schedora.application.pipeline.handler_pool import HandlerPool
from schedora.application.pipeline.settlement import Settlement
from schedora.application.pipeline.start_reports import StartReports
from schedora.application.ports.clock import Clock
from schedora.application.ports.job_queue import SyncBatch

UNDER_WAY_MAX = 2
WORTH_A_SECOND = 500
"""So many completions do not wait for the batch that is under way."""


@frozen(kw_only=True)
class UnderWay:
    """A batch that the store has not answered."""

    claims: bool = False
    starts: bool = False


class Batching:
    """There is never more than one claim under way, nor more than one batch with starts."""

    def __init__(
        self,
        *,
        settlement: Settlement,
        completion_buffer: CompletionBuffer,
        claimer: Claimer,
        starts: StartReports,
        pool: HandlerPool,
        clock: Clock,
        flush: timedelta,
    ) -> None:
        self._settlement = settlement
        self._completion_buffer = completion_buffer
        self._claimer = claimer
        self._starts = starts
        self._pool = pool
        self._clock = clock
        self._flush = flush

    def next(self, others: Collection[UnderWay]) -> SyncBatch | None:
        """The batch that is due beside ``others``. It has to be sent: what is in it is under way."""
        self._settlement.settle_ended()
        if len(others) >= UNDER_WAY_MAX:
            return None
        claim = None if any(other.claims for other in others) else self._claimer.request()
        starts = [] if any(other.starts for other in others) else self._starts.due()
        worth = WORTH_A_SECOND if others else 1
        if (
            claim is None
            and not starts
            and not (self._completion_buffer.standalone >= worth and self._flush_due())
        ):
            return None
        completions = self._completion_buffer.take_standalone()
        return SyncBatch(completions=completions, starts=starts, claim=claim)

    def moments(self, others: Collection[UnderWay]) -> list[timedelta]:
        """When there will be a next one beside ``others``, unless something happens before."""
        if len(others) >= UNDER_WAY_MAX:
            return []
        moments: list[timedelta] = []
        if not any(other.starts for other in others):
            moments += self._starts.moments()
        if not any(other.claims for other in others) and (claim_at := self._claimer.next_at) is not None:
            moments.append(claim_at)
        if self._completion_buffer.standalone and not others:
            moments.append(self._flush_at)
        return moments

    @property
    def _flush_at(self) -> timedelta:
        return self._completion_buffer.since + self._flush

    def _flush_due(self) -> bool:
        """Whether completions should go now: at once with little at hand, in company with much."""
        if not self._pool.buffered or self._completion_buffer.waiting >= WORTH_A_SECOND:
            return True
        return self._clock.monotonic() >= self._flush_at
