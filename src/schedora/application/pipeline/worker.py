"""The worker: one loop that turns the stages of the pipeline.

::

    hints, clock ─► claimer ─► [claim] ──┐                             ┌─► claimed jobs ─► arrivals ─► pool
                                         ├─► batching ─► store sync ─► store
    pool ─► [outcomes] ─► settlement ────┤                             └─► answers ─► observers
                     ─► [completions] ───┘

A job's life goes round once, in one direction: its stages pass values on, and none calls one that comes before it.
Handlers run beside the loop, and the buffer refills their slots while a batch is under way, so the store and the
handlers work at the same time. Completions gather while a batch is under way and leave together with the next; with
little to do a batch leaves at once, with much to do it is full.
"""

from collections.abc import Collection
from datetime import timedelta

from schedora.application.errors import StoreUnavailable
from schedora.application.log import Logger
from schedora.application.pipeline.execute import DRAINED
from schedora.application.pipeline.run import StopReason
from schedora.application.pipeline.stages import Stages
from schedora.domain.ids import IncarnationId, LeaseId
from schedora.domain.worker import WorkerState

log = Logger("schedora.worker")

RESULTS_NOT_TAKEN = "its worker holds as many results as it can that the store has not taken yet"


class Worker:
    """Runs jobs until asked to stop. One worker, one event loop."""

    def __init__(self, stages: Stages) -> None:
        self.stages = stages
        self.changed = stages.changed
        self._clock = stages.clock

    async def run(self) -> None:
        """Until ``drain`` was called and all is handed in, or the time for that is over."""
        stages = self.stages
        try:
            async with stages.listening.to(stages.hints.on_hint):
                while not self._drained():
                    if not self.step():
                        await self._rest()
        finally:
            # Whatever ended this loop, no handler continues without it.
            stages.pool.stop_all(StopReason.DRAINED)
            await stages.reconciliation.abandon()
            await stages.store_sync.abandon()
            stages.observers.attempt_log.flush()
        await stages.departure.leave()

    def drain(self) -> None:
        """Claim no more; finish what runs; release, after the shutdown timeout, what does not finish."""
        drain = self.stages.drain
        if not drain.waited_for:
            drain.waited_for = True
            drain.begin()
            self.changed.set()

    def heard(self, incarnation: IncarnationId, status: WorkerState | None) -> None:
        """What the store answered to a heartbeat."""
        stages = self.stages
        if incarnation != self.incarnation:
            return
        changed = stages.registration.heard(status)
        if stages.contact.waits:
            stages.contact.retry_now()
            self.changed.set()
        if not changed:
            return
        if status is WorkerState.DRAINING:
            log.info(
                "drained by request: no new jobs are taken", worker_id=stages.registration.identity.worker_id
            )
            stages.pool.release_buffer(DRAINED)
        self.changed.set()

    def contested(self, leases: Collection[LeaseId]) -> None:
        """Other leases were found to hold the locks of these runs: the store is asked whose they are."""
        self.stages.run_locking.contested.update(leases)
        self.stages.lease_check.request()
        self.changed.set()

    @property
    def incarnation(self) -> IncarnationId | None:
        """Under which it is registered."""
        return self.stages.registration.incarnation

    @property
    def needs_restart(self) -> bool:
        """Whether it drains because handlers that do not stop hold too many of its slots, and for nothing else."""
        return self.stages.drain.begun and not self.stages.drain.waited_for

    def step(self) -> bool:
        """One turn: enforces deadlines, settles outcomes, starts what is due. Returns whether anything moved: there may be
        more to do.
        """
        stages = self.stages
        stages.pool.enforce_deadlines()
        stages.drain.begin_if_stuck()
        stages.drain.enforce_deadline()
        stages.run_locking.tell()
        stages.settlement.settle_ended()
        if not stages.outcomes.full:
            stages.pool.fill()
        elif stages.pool.buffered:
            stages.pool.release_buffer(RESULTS_NOT_TAKEN)
        try:
            resolved = stages.reconciliation.finish()
            if stages.contact.waits:
                return False
            if resolved is None:
                stages.reconciliation.start()
            if stages.reconciliation.under_way:
                return False
            return stages.store_sync.start() or bool(resolved)
        except StoreUnavailable as error:
            stages.contact.failed(error)
            return False

    async def _rest(self) -> None:
        """Until something happens, or the time comes to do something."""
        if self.stages.reconciliation.under_way:
            await self._clock.wait(self.changed, self._pause())
        else:
            with self.stages.attention.resting():
                await self._clock.wait(self.changed, self._pause())
        self.changed.clear()

    def _drained(self) -> bool:
        stages = self.stages
        if not stages.drain.begun:
            return False
        settled = not stages.pool.runs.unsettled and not stages.settlement.unwritten
        if settled and not stages.store_sync.under_way:  # a claim may bring jobs yet, which are released
            return True
        return stages.drain.gives_up

    def _pause(self) -> timedelta | None:
        """How long there will be nothing to do, unless something happens."""
        stages = self.stages
        now = self._clock.monotonic()
        moments: list[timedelta] = []
        if stages.contact.waits:
            moments.append(stages.contact.retry_at)
        elif not stages.reconciliation.under_way:
            moments += [stages.lease_check.next_at, *stages.store_sync.moments()]
        nexts = (stages.pool.next_deadline, stages.run_locking.next_at, stages.drain.next_at)
        moments += [moment for moment in nexts if moment is not None]
        # Never zero: an error in the sums above must not become a busy loop.
        return None if not moments else max(min(moments) - now, timedelta(milliseconds=1))
