"""The worker: one loop that exchanges with the store what is done for what is next.

::

        hints, polls                      outcomes
             │                               ▲
    store ──► exchange ──► buffer ──► slots ─┘
      ▲          │                      │
      └──────────┴─ completion buffer ◄─┘

Handlers run beside the loop, and the buffer refills their slots while an exchange is under way, so the store
and the handlers work at the same time. Completions gather in the completion buffer while an exchange is under way and
leave together with the next; with little to do an exchange starts at once, with much to do it is full.
"""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from attrs import frozen

from schedora.application.errors import LeaseLost, StoreUnavailable
from schedora.application.handlers import Handlers
from schedora.application.log import Logger
from schedora.application.pipeline.attempt_log import AttemptLog
from schedora.application.pipeline.complete import CompleteJobs
from schedora.application.pipeline.completion_buffer import CompletionBuffer
from schedora.application.pipeline.completion_metrics import count_completions
from schedora.application.pipeline.drain import Drain
from schedora.application.pipeline.exchange import Exchanges
from schedora.application.pipeline.execute import DRAINED, Execute
from schedora.application.pipeline.hints import Hints
from schedora.application.pipeline.in_doubt import InDoubt
from schedora.application.pipeline.lease_check import LeaseCheck
from schedora.application.pipeline.listening import Listening
from schedora.application.pipeline.poll_scheduler import PollPolicy, PollScheduler
from schedora.application.pipeline.publish import publish_completed
from schedora.application.pipeline.registration import HeartbeatControl, Registration
from schedora.application.pipeline.run import Run, StopReason
from schedora.application.pipeline.run_locks import RunLocking, RunLockKeeper
from schedora.application.pipeline.run_log_flusher import LiveRunLog
from schedora.application.pipeline.slots import Slots
from schedora.application.pipeline.store_contact import StoreContact
from schedora.application.pipeline.store_time import StoreTime
from schedora.application.pipeline.taken_leases import TakenLeases
from schedora.application.pipeline.traces import export_runs
from schedora.application.ports.clock import Clock
from schedora.application.ports.events import Events
from schedora.application.ports.job_queue import JobQueue
from schedora.application.ports.metrics import Gauge, Gauges, Metrics
from schedora.application.ports.randomness import Randomness
from schedora.application.ports.span_export import SpanExport
from schedora.application.ports.wakeup import SubscriptionFilter, Wakeup
from schedora.application.ports.workers import Workers
from schedora.application.run_scope import RunSpans
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.ids import IncarnationId, JsonText, LeaseId
from schedora.domain.outcome import Outcome, Succeeded
from schedora.domain.worker import WorkerIdentity, WorkerState

log = Logger("schedora.worker")

FAREWELL = timedelta(seconds=2)
"""How long a worker that leaves tries to say so: a store that hangs is not waited for."""
UNWRITTEN_NAMED_MAX = 20
"""So many jobs are named whose outcomes were not written; the others are counted."""
RESULTS_NOT_TAKEN = "its worker holds as many results as it can that the store has not taken yet"


@frozen(kw_only=True)
class WorkerLimits:
    """Spans by which the worker goes."""

    shutdown_timeout: timedelta = timedelta(seconds=30)
    poll_policy: PollPolicy = PollPolicy()
    flush: timedelta = timedelta(milliseconds=5)
    """How long an outcome may wait for company while more jobs are at hand."""
    lock_after: timedelta = timedelta(milliseconds=100)
    """How long a run lasts before it takes its lock."""
    report: timedelta = timedelta(milliseconds=250)
    """The least time between reports of progress."""
    lease_check: timedelta = timedelta(seconds=2)
    """How often leases are checked while jobs run, beside the hints."""
    lease_check_idle: timedelta = timedelta(seconds=30)
    """How often they are checked while none runs."""
    live_for: timedelta = timedelta(seconds=60)
    """How long after a sign of life the store can't have given this worker up."""
    replaceable: bool = False
    """Whether a new process replaces a worker that ends because it needs a restart."""


class Worker:
    """Runs jobs until asked to stop. One worker, one event loop."""

    def __init__(
        self,
        *,
        identity: WorkerIdentity,
        handlers: Handlers,
        queue: JobQueue,
        complete: CompleteJobs,
        execute: Execute,
        workers: Workers,
        wakeup: Wakeup,
        events: Events,
        heartbeat: HeartbeatControl,
        clock: Clock,
        randomness: Randomness,
        metrics: Metrics,
        worker_deaths_max: int,
        on_run_log: Callable[[LiveRunLog], None],
        on_span: Callable[[JsonText], None] | None = None,
        span_export: SpanExport | None = None,
        run_spans: RunSpans | None = None,
        gauges: Gauges | None = None,
        run_locks: RunLockKeeper | None = None,
        attempt_log: AttemptLog | None = None,
        limits: WorkerLimits | None = None,
    ) -> None:
        self.identity = identity
        self.changed = asyncio.Event()
        """Set whenever a step may have something to do."""
        self._complete = complete
        self._events = events
        self._clock = clock
        self._metrics = metrics
        self._span_export = span_export
        self._limits = limits or WorkerLimits()
        self._store_time = StoreTime(clock)
        self._in_doubt = InDoubt(queue)
        self._attempt_log = attempt_log or AttemptLog()
        self._completion_buffer = CompletionBuffer(
            attempt_log=self._attempt_log,
            events=events,
            metrics=metrics,
            randomness=randomness,
            worker_deaths_max=worker_deaths_max,
            span_export=span_export,
        )
        self.slots = Slots(
            count=identity.max_concurrent_jobs,
            worker_deaths_max=worker_deaths_max,
            handlers=handlers,
            execute=execute,
            clock=clock,
            store_time=self._store_time,
            on_outcome=self._on_outcome,
            on_change=self.changed.set,
            complete_in=self._complete_in,
            on_run_log=on_run_log,
            on_span=on_span,
            run_spans=run_spans,
        )
        self._run_locking = RunLocking(
            slots=self.slots, keeper=run_locks, clock=clock, after=self._limits.lock_after
        )
        self._poll_scheduler = PollScheduler(
            clock=clock, randomness=randomness, poll_policy=self._limits.poll_policy
        )
        self._registration = Registration(
            identity=identity, workers=workers, heartbeat=heartbeat, clock=clock, randomness=randomness
        )
        self._drain = Drain(clock=clock, timeout=self._limits.shutdown_timeout)
        self._contact = StoreContact(
            worker_id=identity.worker_id,
            clock=clock,
            randomness=randomness,
            poll_scheduler=self._poll_scheduler,
            completion_buffer=self._completion_buffer,
        )
        self._lease_check = LeaseCheck(
            queue=queue,
            slots=self.slots,
            completion_buffer=self._completion_buffer,
            in_doubt=self._in_doubt,
            run_locking=self._run_locking,
            contact=self._contact,
            clock=clock,
            every=self._limits.lease_check,
            every_idle=self._limits.lease_check_idle,
        )
        self._taken = TakenLeases(self._store_time)
        listening = Listening()
        self._exchanges = Exchanges(
            registration=self._registration,
            drain=self._drain,
            listening=listening,
            contact=self._contact,
            identity=identity,
            queue=queue,
            complete=complete,
            slots=self.slots,
            completion_buffer=self._completion_buffer,
            poll_scheduler=self._poll_scheduler,
            store_time=self._store_time,
            wakeup=wakeup,
            events=events,
            clock=clock,
            metrics=metrics,
            flush=self._limits.flush,
            report=self._limits.report,
            on_change=self.changed.set,
        )
        self._hints = Hints(
            wakeup=wakeup,
            subscription_filter=SubscriptionFilter(queues=identity.queues, types=identity.types),
            listening=listening,
            registration=self._registration,
            heartbeat=heartbeat,
            poll_scheduler=self._poll_scheduler,
            lease_check=self._lease_check,
            contact=self._contact,
            exchanges=self._exchanges,
            slots=self.slots,
            taken=self._taken,
            store_time=self._store_time,
            metrics=metrics,
            live_for=self._limits.live_for,
            changed=self.changed,
        )
        self._asking: asyncio.Task[bool] | None = None
        """What is asked of the store before the next exchange, while it has not answered."""
        if gauges is not None:
            self._show(gauges)

    async def run(self) -> None:
        """Until ``drain`` was called and all is handed in, or the time for that is over."""
        try:
            async with self._hints.arriving():
                while not self._drained():
                    if not await self.step():
                        with self._hints.resting():
                            await self._clock.wait(self.changed, self._pause())
                        self.changed.clear()
        finally:
            # Whatever ended this loop, no handler goes on without it.
            self.slots.stop_all(StopReason.DRAINED)
            await self._give_up_asking()
            await self._exchanges.abandon()
            self._attempt_log.flush()
        await self._leave()
        self._tell_unwritten()

    def drain(self) -> None:
        """Claim no more; finish what runs; release, after the shutdown timeout, what does not finish."""
        if not self._drain.waited_for:
            self._drain.waited_for = True
            self._begin_to_drain()

    def heard(self, incarnation: IncarnationId, status: WorkerState | None) -> None:
        """What the store answered to a heartbeat."""
        if incarnation != self.incarnation:
            return
        changed = self._registration.heard(status)
        if self._contact.waits:
            self._contact.retry_now()
            self.changed.set()
        if not changed:
            return
        if status is WorkerState.DRAINING:
            log.info("drained by request: no new jobs are taken", worker_id=self.identity.worker_id)
            self.slots.release_buffer(DRAINED)
        self.changed.set()

    def contested(self, leases: Collection[LeaseId]) -> None:
        """Other leases were found to hold the locks of these runs: the store is asked whose they are."""
        self._run_locking.contested.update(leases)
        self._lease_check.request()
        self.changed.set()

    @property
    def incarnation(self) -> IncarnationId | None:
        """Under which it is registered."""
        return self._registration.incarnation

    @property
    def needs_restart(self) -> bool:
        """Whether it drains because handlers that do not stop hold too many of its slots, and for nothing else."""
        return self._drain.begun and not self._drain.waited_for

    async def step(self) -> bool:
        """One turn: enforces deadlines, exchanges what is due. Whether anything moved: there may be more to do."""
        self.slots.enforce_deadlines()
        self._drain_when_needs_restart()
        self._stop_at_drain_deadline()
        self._run_locking.tell()
        if self._contact.waits:
            return False
        try:
            return await self._turn()
        except StoreUnavailable as error:
            self._contact.failed(error)
            return False

    async def _turn(self) -> bool:
        resolved = False
        if self._registration.needed or len(self._in_doubt) or self._lease_check.due:
            self._asking = asyncio.get_running_loop().create_task(self._ask())
            self._asking.add_done_callback(lambda _: self.changed.set())
            try:
                await self._until_answered(self._asking)
                if not self._asking.done():
                    return False
                resolved = self._asking.result()
            finally:
                await self._give_up_asking()
        return self._exchanges.start() or resolved

    async def _ask(self) -> bool:
        """What must be known before the next exchange. Whether anything came of it."""
        if self._registration.needed:
            await self._exchanges.ended()
            await self._join()
        resolved = await self._resolve_doubt()
        await self._check()
        return resolved

    async def _until_answered(self, asking: "asyncio.Task[bool]") -> None:
        """A store that hangs must not keep handlers running past their time, nor a drained worker past its own."""
        while not asking.done() and not self._drained():
            self.changed.clear()
            await self._clock.wait(self.changed, self._pause())
            self.slots.enforce_deadlines()
            self._stop_at_drain_deadline()
            self._run_locking.tell()

    async def _give_up_asking(self) -> None:
        asking, self._asking = self._asking, None
        if asking is not None and not asking.done():
            asking.cancel()
            await asyncio.wait([asking])

    def _on_outcome(self, job: ClaimedJob, run: Run | None, outcome: Outcome, at: timedelta) -> None:
        if run is not None and run.written is not None:
            self._in_doubt.add(run, outcome)
        else:
            started_at = run.started_at if run is not None else job.started_at
            self._exchanges.put(job, self._settled(job, outcome, started_at, at), at)
            if self._completion_buffer.full and self.slots.buffered:
                self.slots.release_buffer(RESULTS_NOT_TAKEN)
        self.changed.set()

    def _settled(
        self, job: ClaimedJob, outcome: Outcome, started_at: datetime | None, at: timedelta
    ) -> Completion:
        ended_at = self._store_time.at(at)
        if started_at is not None and ended_at < started_at:  # the store's clock was set back
            ended_at = started_at
        return self._completion_buffer.settle(job, outcome, started_at=started_at, ended_at=ended_at)

    async def _complete_in(self, run: Run, connection: object, result: JsonText) -> None:
        """Completes inside a handler's own transaction; may be called from the handler's thread."""
        if run.settled or run.stop_reason is not None:
            raise LeaseLost(f"job {run.job.job_id} is no longer held by this run")
        now = self._clock.monotonic()
        completion = self._settled(run.job, Succeeded(result=result), run.started_at, now)
        run.released = await self._complete.within(connection, completion)
        run.written = completion

    async def _resolve_doubt(self) -> bool:
        if not len(self._in_doubt):
            return False
        for run, outcome in await self._in_doubt.resolve():
            if outcome is None:
                self._committed(run)
            else:
                run.written = None
                self._on_outcome(run.job, run, outcome, self._clock.monotonic())
        return True

    def _committed(self, run: Run) -> None:
        if run.written is not None:
            count_completions(self._metrics, [run.written])
            self._attempt_log.tell([(run.job, run.written)])
            publish_completed(self._events, [(run.job, run.written)])
            export_runs(self._span_export, [(run.job, run.written)])
        if run.released:  # others were told by the commit
            self._poll_scheduler.hint()

    async def _check(self) -> None:
        if self.incarnation is None or not self._lease_check.due:
            return
        self._lease_check.begin()
        await self._exchanges.ended()
        if unknown := await self._lease_check.unknown(self.incarnation):
            self._take(unknown)

    def _take(self, jobs: Collection[ClaimedJob]) -> None:
        """Runs jobs that came by no claim, or hands them back where it takes no more."""
        self._taken.note(jobs)
        self._exchanges.take(jobs)

    async def _join(self) -> None:
        """Registers a new incarnation; what an earlier one held is lost."""
        if self.incarnation is not None:
            log.warning("declared lost: registering again", worker_id=self.identity.worker_id)
        self.slots.lose(self.slots.held())
        asked_at = self._clock.monotonic()
        store_now = await self._registration.register()
        self._store_time.learn(store_now, asked_at=asked_at)
        self._poll_scheduler.hint()

    async def _leave(self) -> None:
        if not self._registration.incarnations:
            return
        leaving = asyncio.get_running_loop().create_task(self._say_good_bye())
        left = asyncio.Event()
        leaving.add_done_callback(lambda _: left.set())
        try:
            await self._clock.wait(left, FAREWELL)
        finally:
            leaving.cancel()
            await asyncio.wait([leaving])
            await self._exchanges.abandon()
        error = "it did not answer in time"
        if not leaving.cancelled():
            try:
                leaving.result()
            except StoreUnavailable as unavailable:
                error = str(unavailable)
            else:
                return
        log.warning("could not say good-bye; the reaper will notice", error=error)

    async def _say_good_bye(self) -> None:
        await self._registration.deregister()
        await self._release_unheard()

    def _tell_unwritten(self) -> None:
        """What ended here, and the store does not know."""
        unwritten = sorted(map(str, self._completion_buffer.job_ids() | self._in_doubt.job_ids()))
        if unwritten:
            log.error(
                "outcomes were not written: a reaper gives these jobs back, and they run again",
                worker_id=self.identity.worker_id,
                jobs=len(unwritten),
                job_ids=unwritten[:UNWRITTEN_NAMED_MAX],
            )

    async def _release_unheard(self) -> None:
        """What was leased to this worker while it left, and what it did not hear of."""
        if self.incarnation is not None:
            self._take(await self._lease_check.never_started(self.incarnation))
            self._exchanges.start()
            await self._exchanges.ended()

    def _show(self, gauges: Gauges) -> None:
        gauges.register(Gauge.WORKER_SLOTS, lambda: self.slots.count)
        gauges.register(Gauge.WORKER_SLOTS_USED, lambda: len(self.slots.runs))
        gauges.register(Gauge.STUCK_THREADS, self.slots.stuck_threads)
        gauges.register(Gauge.WORKER_JOBS_BUFFERED, lambda: self.slots.buffered)
        gauges.register(Gauge.WORKER_CLAIM_RATE, self._exchanges.claim_rate.per_second)
        gauges.register(Gauge.COMPLETIONS_PENDING, self._completion_buffer.__len__)
        gauges.register(Gauge.LAST_PROGRESS, lambda: self._contact.silence().total_seconds())

    def _drain_when_needs_restart(self) -> None:
        """Before it runs out of slots: what is stuck is ended with the process, and a fresh one has them all."""
        if not self._limits.replaceable or self._drain.begun or self._registration.drained_by_request:
            return
        stuck = self.slots.stuck()
        if len(stuck) * 2 >= self.slots.count:
            log.error(
                "handlers that do not stop hold half of the slots: the worker drains, and a fresh process takes over",
                worker_id=self.identity.worker_id,
                stuck=len(stuck),
                slots=self.slots.count,
                job_types=sorted({run.job.type for run in stuck}),
            )
            self._begin_to_drain()

    def _begin_to_drain(self) -> None:
        self._drain.begin()
        self.slots.release_buffer(DRAINED)
        self.changed.set()

    def _stop_at_drain_deadline(self) -> None:
        if self._drain.timed_out:
            self.slots.stop_all(StopReason.DRAINED)

    def _drained(self) -> bool:
        if not self._drain.begun:
            return False
        settled = not self.slots.unsettled and not len(self._completion_buffer) and not len(self._in_doubt)
        if settled and not self._exchanges.under_way:  # a claim may bring jobs yet, which go back
            return True
        return self._drain.gives_up

    def _pause(self) -> timedelta | None:
        """How long there will be nothing to do, unless something happens."""
        now = self._clock.monotonic()
        moments: list[timedelta] = []
        if self._contact.waits:
            moments.append(self._contact.retry_at)
        elif self._asking is None:
            moments += [self._lease_check.next_at, *self._exchanges.moments()]
        if self.slots.next_deadline is not None:
            moments.append(self.slots.next_deadline)
        if (tell_at := self._run_locking.next_at) is not None:
            moments.append(tell_at)
        if (drain_at := self._drain.next_at) is not None:
            moments.append(drain_at)
        # Never zero: an error in the sums above must not become a busy loop.
        return None if not moments else max(min(moments) - now, timedelta(milliseconds=1))
