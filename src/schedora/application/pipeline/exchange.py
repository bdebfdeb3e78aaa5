"""Exchanges with the store: what is done for what is next.

With little to do there is one at a time, and it starts at once. With much to do a second one starts while the store
works on the first, so that the store does not wait while the worker reads one answer and writes the next question: it
takes completions enough to be worth a transaction, or a claim where the first has none. There is never more than one
claim under way, nor more than one exchange that tells of starts. Completions of workflows' jobs go beside these, one
batch at a time, for they change other jobs, too.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from datetime import timedelta
from typing import Any

from attrs import frozen

from schedora.application.errors import StoreUnavailable
from schedora.application.log import Logger
from schedora.application.pipeline.claim import PrefetchSizer
from schedora.application.pipeline.claim_rate import ClaimRate
from schedora.application.pipeline.complete import Completed, CompleteJobs, in_transactions
from schedora.application.pipeline.completion_buffer import CompletionBuffer
from schedora.application.pipeline.completion_metrics import (
    count_canceled,
    count_claims,
    time_exchange,
    time_handover,
)
from schedora.application.pipeline.drain import Drain
from schedora.application.pipeline.execute import DRAINED
from schedora.application.pipeline.listening import Listening
from schedora.application.pipeline.poll_scheduler import PollScheduler
from schedora.application.pipeline.publish import publish_claimed, publish_moved, publish_started
from schedora.application.pipeline.registration import Registration
from schedora.application.pipeline.run import Run
from schedora.application.pipeline.slots import NO_ROOM, Slots
from schedora.application.pipeline.store_contact import StoreContact
from schedora.application.pipeline.store_time import StoreTime
from schedora.application.ports.clock import Clock
from schedora.application.ports.events import Events
from schedora.application.ports.job_queue import ClaimRequest, Delivery, Exchanged, JobQueue, Start
from schedora.application.ports.metrics import Counter, Metrics
from schedora.application.ports.wakeup import Wakeup
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.ids import LeaseId
from schedora.domain.job_state import WAITING
from schedora.domain.worker import WorkerIdentity, WorkerState

log = Logger("schedora.worker")

UNDER_WAY_MAX = 2
WORTH_A_SECOND = 500
"""So many completions do not wait for the exchange that is under way."""
HINT_TAKES_MAX = timedelta(seconds=1)
"""What has been due for longer, a hint should have told of."""
NO_TIME = timedelta(0)
MORE_WORK_INTERVAL = timedelta(seconds=1)
"""How long a worker that finds all it can take keeps from telling so again."""


@frozen(kw_only=True)
class _UnderWay:
    began: timedelta
    claims: bool = False
    tells: bool = False
    in_workflows: bool = False


class Exchanges:
    """Those of one worker. ``on_change`` is called whenever one has ended."""

    def __init__(
        self,
        *,
        registration: Registration,
        drain: Drain,
        listening: Listening,
        contact: StoreContact,
        identity: WorkerIdentity,
        queue: JobQueue,
        complete: CompleteJobs,
        slots: Slots,
        completion_buffer: CompletionBuffer,
        poll_scheduler: PollScheduler,
        store_time: StoreTime,
        wakeup: Wakeup,
        events: Events,
        clock: Clock,
        metrics: Metrics,
        flush: timedelta,
        report: timedelta,
        on_change: Callable[[], None],
    ) -> None:
        self._registration = registration
        self._drain = drain
        self._listening = listening
        self._contact = contact
        self._identity = identity
        self._queue = queue
        self._complete = complete
        self._slots = slots
        self._completion_buffer = completion_buffer
        self._poll_scheduler = poll_scheduler
        self._store_time = store_time
        self._wakeup = wakeup
        self._events = events
        self._clock = clock
        self._metrics = metrics
        self._flush = flush
        self._report = report
        self._on_change = on_change
        self._prefetch_sizer = PrefetchSizer(identity.max_concurrent_jobs)
        self.claim_rate = ClaimRate(clock)
        self._under_way: dict[asyncio.Task[None], _UnderWay] = {}
        self._defect: BaseException | None = None
        self._flush_at = self._report_at = self._more_work_at = clock.monotonic()
        self._full = False
        """Whether the last claim found all that it asked for."""

    def put(self, job: ClaimedJob, completion: Completion, now: timedelta) -> None:
        """Takes a completion, to be brought to the store soon."""
        if not self._completion_buffer.waiting:
            self._flush_at = now + self._flush
        self._completion_buffer.put(job, completion)

    def start(self) -> bool:
        """Starts what is due; answers whether there was any. Raises what went wrong in an earlier one, unless it was
        ``StoreUnavailable``, which ``StoreContact`` has noted.
        """
        if self._defect is not None:
            raise self._defect
        started = False
        while self._start_one():
            started = True
        in_workflows = any(kind.in_workflows for kind in self._under_way.values())
        if not in_workflows and (completions := self._completion_buffer.take_in_workflows()):
            self._begin(
                self._deliver_in_workflows(completions),
                _UnderWay(began=self._clock.monotonic(), in_workflows=True),
            )
            started = True
        return started

    def prompt(self) -> None:
        """Starts one that is due, for whoever hears of something to do before ``start`` is called."""
        if self._defect is None:
            self._start_one()

    @property
    def under_way(self) -> bool:
        return bool(self._under_way)

    @property
    def may_claim(self) -> bool:
        """Whether the worker takes new jobs at all."""
        return self._registration.status is WorkerState.ACTIVE and not self._drain.begun

    @property
    def able(self) -> bool:
        """Whether there is room for jobs that a claim would bring."""
        return self.may_claim and not self._completion_buffer.full and self._wanted > 0

    @property
    def expectant(self) -> bool:
        """Whether there is room, and no reason to claim now: a hint would be followed up at once."""
        return (
            self.able
            and not self._poll_scheduler.due
            and not any(kind.claims for kind in self._under_way.values())
        )

    async def ended(self) -> None:
        """Returns once none is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def abandon(self) -> None:
        """Ends what is under way, wherever it is."""
        for task in self._under_way:
            task.cancel()
        await self.ended()

    def moments(self) -> list[timedelta]:
        """When ``start`` will have something to do, unless something happens before."""
        exchanging = self._exchanging()
        if len(exchanging) >= UNDER_WAY_MAX:
            return []
        moments: list[timedelta] = []
        if not any(other.tells for other in exchanging):
            moments += map(self._tell_at, self._slots.untold)
        if self.may_claim and not self._completion_buffer.full and not any(o.claims for o in exchanging):
            if self._slots.free:
                moments.append(self._poll_scheduler.next_at)
            elif self._poll_scheduler.expected_at is not None:
                moments.append(self._poll_scheduler.expected_at)
        if self._completion_buffer.standalone and not exchanging:
            moments.append(self._flush_at)
        return moments

    def _start_one(self) -> bool:
        exchanging = self._exchanging()
        if len(exchanging) >= UNDER_WAY_MAX:
            return False
        claim = None if any(other.claims for other in exchanging) else self._claim()
        telling = any(other.tells for other in exchanging)
        suspects = [] if telling else self._slots.call_suspects()
        starts = [] if telling else self._starts(suspects)
        worth = WORTH_A_SECOND if exchanging else 1
        if (
            claim is None
            and not starts
            and not (self._completion_buffer.standalone >= worth and self._flush_due())
        ):
            return False
        completions = self._completion_buffer.take_standalone()
        if claim is not None:
            self._poll_scheduler.looking()
        delivery = Delivery(completions=completions, starts=starts, claim=claim)
        kind = _UnderWay(began=self._clock.monotonic(), claims=claim is not None, tells=bool(starts))
        self._begin(self._exchange(delivery), kind)
        return True

    def _exchanging(self) -> list[_UnderWay]:
        return [kind for kind in self._under_way.values() if not kind.in_workflows]

    def _begin(self, work: Coroutine[Any, Any, None], kind: _UnderWay) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._under_way[task] = kind
        task.add_done_callback(self._over)

    def _over(self, task: "asyncio.Task[None]") -> None:
        kind = self._under_way.pop(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, StoreUnavailable):
            self._contact.failed(error)
        elif error is not None:
            self._defect = error
        elif not task.cancelled():
            self._contact.answered(kind.began)
        self._on_change()

    async def _exchange(self, delivery: Delivery) -> None:
        began = self._clock.monotonic()
        try:
            answer = await self._queue.exchange(delivery)
        except (StoreUnavailable, asyncio.CancelledError):
            self._completion_buffer.put_back(delivery.completions)
            raise
        except Exception as error:
            if not delivery.completions:
                raise
            self._poll_scheduler.hint()
            await self._deliver_one_by_one(delivery.completions, error)
            return
        time_exchange(self._metrics, delivery, answer, self._clock.monotonic() - began)
        self._store_time.learn(answer.at, asked_at=began)
        self._accepted(delivery.completions, answer.accepted)
        self._started(delivery.starts, answer)
        if delivery.claim is not None:
            self._claimed(delivery.claim, answer)
        self._went_back(delivery.completions, answer.accepted)

    async def _deliver_in_workflows(self, completions: Sequence[Completion]) -> None:
        try:
            for part in in_transactions(completions):
                try:
                    completed = await self._complete(part)
                except StoreUnavailable:
                    raise
                except Exception as error:  # noqa: BLE001 - each is tried by itself, and tells its own error
                    await self._deliver_one_by_one(part, error)
                else:
                    self._completed(part, completed)
        finally:
            self._completion_buffer.put_back(completions)
        self._poll_scheduler.hint()  # what was released may be for this worker

    async def _deliver_one_by_one(self, completions: Sequence[Completion], error: Exception) -> None:
        """One of these is more than the store can take: the others must not suffer for it."""
        log.warning("a batch of completions was refused", error=type(error).__name__)
        try:
            for completion in completions:
                try:
                    completed = await self._deliver(completion)
                except StoreUnavailable:
                    raise
                except Exception as own_error:  # noqa: BLE001 - the completion buffer logs it, or raises it when nothing helps
                    self._completion_buffer.refused(completion, own_error)
                else:
                    self._completed([completion], completed)
        finally:
            self._completion_buffer.put_back(completions)

    async def _deliver(self, completion: Completion) -> Completed:
        if completion.workflow_id is not None:
            return await self._complete([completion])
        answer = await self._queue.exchange(Delivery(completions=[completion]))
        return Completed(accepted=answer.accepted)

    def _completed(self, completions: Sequence[Completion], completed: Completed) -> None:
        self._accepted(completions, completed.accepted)
        count_canceled(self._metrics, completed.canceled)
        publish_moved(self._events, completed.canceled)
        self._went_back(completions, completed.accepted)

    def _accepted(self, completions: Sequence[Completion], accepted: Collection[LeaseId]) -> None:
        self._completion_buffer.delivered(completions, accepted)
        time_handover(self._metrics, completions, accepted, self._store_time.now())

    def _claim(self) -> ClaimRequest | None:
        owner = self._registration.incarnation
        if (
            owner is None
            or not self.may_claim
            or not self._poll_scheduler.due
            or self._completion_buffer.full
        ):
            return None
        if self._slots.durations:
            self._prefetch_sizer.learn(self._slots.durations)
            self._slots.durations.clear()
        if (want := self._wanted) == 0:
            return None
        return ClaimRequest(
            owner=owner,
            worker_id=self._identity.worker_id,
            queues=self._identity.queues,
            types=self._identity.types,
            limit=want,
            start_count=self._slots.free,
        )

    @property
    def _wanted(self) -> int:
        return self._prefetch_sizer.want(free_slots=self._slots.free, buffered=self._slots.buffered)

    def _claimed(self, claim: ClaimRequest, answer: Exchanged) -> None:
        self.take(answer.claimed)
        found = len(answer.claimed)
        missed = self._poll_scheduler.looked(
            hints_arrive=self._listening.healthy,
            found=found,
            overdue=sum((job.was_due_for or NO_TIME) > HINT_TAKES_MAX for job in answer.claimed),
            more_likely=found == claim.limit,
            next_due_in=None if answer.next_due_at is None else answer.next_due_at - answer.at,
        )
        if missed:
            self._metrics.count(Counter.WAKEUPS_MISSED, amount=missed)
        count_claims(self._metrics, answer.claimed)
        self._share(claim, answer.claimed)

    def _share(self, claim: ClaimRequest, claimed: Sequence[ClaimedJob]) -> None:
        """Where one finds all that it can take there is more, for others: each wakes others, which do so in turn. One
        job for one slot says less: many can't be woken for each of those.
        """
        was_full, self._full = self._full, len(claimed) == claim.limit
        now = self._clock.monotonic()
        more_work = claim.limit > 1
        if self._full and (now >= self._more_work_at or (more_work and not was_full)):
            self._more_work_at = now + MORE_WORK_INTERVAL
            self._wakeup.notify(queues={job.queue for job in claimed}, more_work=more_work)

    def take(self, jobs: Collection[ClaimedJob]) -> None:
        """Runs jobs that are under this worker's lease by now, or hands them back where it takes no more."""
        publish_claimed(self._events, jobs)
        self.claim_rate.count(len(jobs))
        if self.may_claim:
            self._slots.take(jobs)
            return
        for job in jobs:  # asked to drain while they were under way
            self._slots.release(job, DRAINED)

    def take_matched(self, job: ClaimedJob) -> None:
        """As ``take``; but what would wait for long goes back at once: another worker may have room."""
        if self.may_claim and not self.able:
            publish_claimed(self._events, [job])
            self._slots.release(job, NO_ROOM)
        else:
            self.take([job])

    def _went_back(self, completions: Sequence[Completion], accepted: Collection[LeaseId]) -> None:
        """Tells of jobs that wait again, and looks for them when they fall due."""
        waiting = [c for c in completions if c.status in WAITING and c.lease_id in accepted]
        for completion in waiting:
            due_in = (completion.scheduled_at or completion.ended_at) - self._store_time.now()
            self._poll_scheduler.due_at(self._clock.monotonic() + max(due_in, timedelta(0)))
        if waiting:
            self._wakeup.notify(
                queues={completion.queue for completion in waiting},
                later=all(completion.scheduled_at is not None for completion in waiting),
            )

    def _starts(self, suspects: Collection[ClaimedJob]) -> list[Start]:
        """Of jobs that have run for long enough, and of suspects that may as soon as this is on record."""
        now = self._clock.monotonic()
        starts = [
            Start(
                job_id=run.job.job_id,
                lease_id=run.job.lease_id,
                started_at=run.started_at,
                progress=run.progress,
            )
            for run in self._slots.untold
            if now >= self._tell_at(run)
        ]
        if suspects:
            at = self._store_time.at(now)
            starts += [
                Start(
                    job_id=job.job_id,
                    lease_id=job.lease_id,
                    started_at=self._slots.start_of_suspect(job, at),
                )
                for job in suspects
            ]
        return starts

    def _started(self, starts: Sequence[Start], answer: Exchanged) -> None:
        if not starts:
            return
        begun: list[ClaimedJob] = []
        for start in starts:
            if start.lease_id not in answer.accepted:
                continue
            if (run := self._slots.runs.get(start.lease_id)) is not None:
                known = run.recorded or run.settled  # what has ended tells of its start with its end
                self._slots.told(run, start.progress)
                if not known:
                    begun.append(run.job)
            elif (suspect := self._slots.start_suspect(start.lease_id, start.started_at)) is not None:
                begun.append(suspect)
        publish_started(self._events, begun)
        self._report_at = self._clock.monotonic() + self._report
        lost = {start.lease_id for start in starts} - answer.accepted
        self._slots.lose(lost & self._slots.held())

    def _flush_due(self) -> bool:
        """Whether outcomes should go now: at once with little at hand, in company with much."""
        if not self._slots.buffered or self._completion_buffer.waiting >= WORTH_A_SECOND:
            return True
        return self._clock.monotonic() >= self._flush_at

    def _tell_at(self, run: Run) -> timedelta:
        return self._report_at if run.recorded else run.began + self._flush
