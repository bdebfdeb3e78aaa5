"""The stages of a worker's pipeline, in the order in which a job passes them."""

import asyncio

from schedora.application.pipeline.answers import Answers
from schedora.application.pipeline.arrivals import Arrivals
from schedora.application.pipeline.attention import Attention
from schedora.application.pipeline.batching import Batching
from schedora.application.pipeline.claimer import Claimer
from schedora.application.pipeline.complete_in_transaction import CompleteInTransaction
from schedora.application.pipeline.completion_buffer import CompletionBuffer
from schedora.application.pipeline.completion_delivery import CompletionDelivery
from schedora.application.pipeline.departure import Departure
from schedora.application.pipeline.drain import Drain
from schedora.application.pipeline.handler_pool import HandlerPool
from schedora.application.pipeline.hints import Hints
from schedora.application.pipeline.in_doubt import InDoubt
from schedora.application.pipeline.lease_check import LeaseCheck
from schedora.application.pipeline.limits import WorkerLimits
from schedora.application.pipeline.listening import Listening
from schedora.application.pipeline.observers import Observers
from schedora.application.pipeline.outcomes import Outcomes
from schedora.application.pipeline.poll_scheduler import PollScheduler
from schedora.application.pipeline.prefetch_buffer import PrefetchBuffer
from schedora.application.pipeline.reconciliation import Reconciliation
from schedora.application.pipeline.registration import Registration
from schedora.application.pipeline.returned_jobs import ReturnedJobs
from schedora.application.pipeline.run_locks import RunLocking
from schedora.application.pipeline.runs import Runs
from schedora.application.pipeline.settle import Settle
from schedora.application.pipeline.settlement import Settlement
from schedora.application.pipeline.start_reports import StartReports
from schedora.application.pipeline.store_contact import StoreContact
from schedora.application.pipeline.store_sync import StoreSync
from schedora.application.pipeline.store_time import StoreTime
from schedora.application.pipeline.suspects import Suspects
from schedora.application.pipeline.sync_matches import SyncMatches
from schedora.application.pipeline.taken_leases import TakenLeases
from schedora.application.pipeline.worker_ports import Handling, Liveness, WorkerStore
from schedora.application.ports.clock import Clock
from schedora.application.ports.metrics import Gauge, Gauges
from schedora.application.ports.randomness import Randomness
from schedora.application.ports.wakeup import SubscriptionFilter
from schedora.domain.worker import WorkerIdentity


class Stages:
    """The stages of one worker. Each is given those that come after it in a job's life, and none that comes before."""

    def __init__(
        self,
        *,
        identity: WorkerIdentity,
        store: WorkerStore,
        handling: Handling,
        liveness: Liveness,
        observers: Observers,
        limits: WorkerLimits,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self.clock = clock
        self.observers = observers
        self.changed = asyncio.Event()
        """Set by every stage when the worker's loop may have something to do."""
        self.store_time = StoreTime(clock)
        self.registration = Registration(
            identity=identity,
            workers=store.workers,
            heartbeat=liveness.heartbeat,
            store_time=self.store_time,
            clock=clock,
            randomness=randomness,
        )
        self.poll_scheduler = PollScheduler(
            clock=clock, randomness=randomness, poll_policy=limits.poll_policy
        )
        settle = Settle(
            store_time=self.store_time,
            unit_random=randomness.unit,
            worker_deaths_max=limits.worker_deaths_max,
        )
        self.completion_buffer = CompletionBuffer(settle)
        self.contact = StoreContact(
            worker_id=identity.worker_id,
            clock=clock,
            randomness=randomness,
            poll_scheduler=self.poll_scheduler,
            completion_buffer=self.completion_buffer,
        )
        self.outcomes = Outcomes(self.completion_buffer, self.changed)
        self.settlement = Settlement(
            outcomes=self.outcomes,
            settle=settle,
            completion_buffer=self.completion_buffer,
            in_doubt=InDoubt(store.queue),
            observers=observers,
            poll_scheduler=self.poll_scheduler,
            clock=clock,
        )
        self.pool = HandlerPool(
            count=identity.max_concurrent_jobs,
            handlers=handling.handlers,
            execute=handling.execute,
            runs=Runs(
                clock=clock,
                store_time=self.store_time,
                outcomes=self.outcomes,
                output=handling.output,
                changed=self.changed,
            ),
            waiting=PrefetchBuffer(Suspects(worker_deaths_max=limits.worker_deaths_max)),
            outcomes=self.outcomes,
            complete_in_transaction=CompleteInTransaction(
                complete=store.complete, settle=settle, clock=clock
            ),
            clock=clock,
        )
        self.drain = Drain(
            registration=self.registration,
            pool=self.pool,
            clock=clock,
            timeout=limits.shutdown_timeout,
            replaceable=limits.replaceable,
        )
        self.listening = Listening(
            store.wakeup, SubscriptionFilter(queues=identity.queues, types=identity.types)
        )
        self.claimer = Claimer(
            identity=identity,
            registration=self.registration,
            drain=self.drain,
            poll_scheduler=self.poll_scheduler,
            listening=self.listening,
            pool=self.pool,
            outcomes=self.outcomes,
        )
        self.taken = TakenLeases(self.store_time)
        self.arrivals = Arrivals(
            claimer=self.claimer,
            pool=self.pool,
            taken=self.taken,
            observers=observers,
            wakeup=store.wakeup,
            clock=clock,
        )
        starts = StartReports(
            pool=self.pool,
            store_time=self.store_time,
            events=observers.events,
            clock=clock,
            flush=limits.flush,
            report=limits.report,
        )
        returned = ReturnedJobs(
            poll_scheduler=self.poll_scheduler, store_time=self.store_time, wakeup=store.wakeup, clock=clock
        )
        delivery = CompletionDelivery(
            queue=store.queue,
            complete=store.complete,
            completion_buffer=self.completion_buffer,
            observers=observers,
            returned=returned,
            poll_scheduler=self.poll_scheduler,
            store_time=self.store_time,
        )
        self.store_sync = StoreSync(
            queue=store.queue,
            batching=Batching(
                settlement=self.settlement,
                completion_buffer=self.completion_buffer,
                claimer=self.claimer,
                starts=starts,
                pool=self.pool,
                clock=clock,
                flush=limits.flush,
            ),
            answers=Answers(
                store_time=self.store_time,
                completions=delivery,
                starts=starts,
                arrivals=self.arrivals,
                returned=returned,
                metrics=observers.metrics,
                clock=clock,
            ),
            delivery=delivery,
            completion_buffer=self.completion_buffer,
            contact=self.contact,
            clock=clock,
            changed=self.changed,
        )
        self.run_locking = RunLocking(
            runs=self.pool.runs, keeper=liveness.run_locks, clock=clock, after=limits.lock_after
        )
        self.lease_check = LeaseCheck(
            queue=store.queue,
            pool=self.pool,
            settlement=self.settlement,
            run_locking=self.run_locking,
            contact=self.contact,
            clock=clock,
            every=limits.lease_check,
            every_idle=limits.lease_check_idle,
        )
        self.reconciliation = Reconciliation(
            registration=self.registration,
            settlement=self.settlement,
            lease_check=self.lease_check,
            pool=self.pool,
            poll_scheduler=self.poll_scheduler,
            arrivals=self.arrivals,
            store_sync=self.store_sync,
            changed=self.changed,
        )
        self.attention = Attention(
            listening=self.listening,
            registration=self.registration,
            contact=self.contact,
            poll_scheduler=self.poll_scheduler,
            claimer=self.claimer,
            pool=self.pool,
            store_sync=self.store_sync,
        )
        matches = SyncMatches(
            registration=self.registration,
            taken=self.taken,
            store_time=self.store_time,
            arrivals=self.arrivals,
            live_for=limits.live_for,
        )
        self.hints = Hints(
            listening=self.listening,
            registration=self.registration,
            poll_scheduler=self.poll_scheduler,
            lease_check=self.lease_check,
            matches=matches,
            attention=self.attention,
            metrics=observers.metrics,
            changed=self.changed,
        )
        self.departure = Departure(
            registration=self.registration,
            lease_check=self.lease_check,
            arrivals=self.arrivals,
            store_sync=self.store_sync,
            settlement=self.settlement,
            clock=clock,
        )
        if observers.gauges is not None:
            self._register(observers.gauges)

    def _register(self, gauges: Gauges) -> None:
        gauges.register(Gauge.WORKER_SLOTS, lambda: self.pool.count)
        gauges.register(Gauge.WORKER_SLOTS_USED, lambda: len(self.pool.runs.running))
        gauges.register(Gauge.STUCK_THREADS, self.pool.runs.stuck_threads)
        gauges.register(Gauge.WORKER_JOBS_BUFFERED, lambda: self.pool.buffered)
        gauges.register(Gauge.WORKER_CLAIM_RATE, self.arrivals.claim_rate.per_second)
        gauges.register(Gauge.COMPLETIONS_PENDING, self.completion_buffer.__len__)
        gauges.register(Gauge.LAST_PROGRESS, lambda: self.contact.silence().total_seconds())
