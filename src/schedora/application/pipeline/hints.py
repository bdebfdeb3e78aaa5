"""What reaches a worker beside its exchanges: hints of jobs that wait, and jobs that were leased to it as they were stored."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

from schedora.application.pipeline.completion_metrics import count_claims
from schedora.application.pipeline.exchange import Exchanges
from schedora.application.pipeline.lease_check import LeaseCheck
from schedora.application.pipeline.listening import Listening
from schedora.application.pipeline.poll_scheduler import PollScheduler
from schedora.application.pipeline.registration import HeartbeatControl, Registration
from schedora.application.pipeline.slots import Slots
from schedora.application.pipeline.store_contact import StoreContact
from schedora.application.pipeline.store_time import StoreTime
from schedora.application.pipeline.taken_leases import TakenLeases
from schedora.application.ports.metrics import Counter, Metrics
from schedora.application.ports.wakeup import Hint, SubscriptionFilter, Wakeup
from schedora.domain.claimed_job import ClaimedJob

MATCH_AGE_MAX = timedelta(seconds=1)
"""Who hears later of a job that was matched makes sure that it is his yet: it may have been canceled."""


class Hints:
    """Sets ``changed`` for whatever gives the worker's loop something to do."""

    def __init__(
        self,
        *,
        wakeup: Wakeup,
        subscription_filter: SubscriptionFilter,
        listening: Listening,
        registration: Registration,
        heartbeat: HeartbeatControl,
        poll_scheduler: PollScheduler,
        lease_check: LeaseCheck,
        contact: StoreContact,
        exchanges: Exchanges,
        slots: Slots,
        taken: TakenLeases,
        store_time: StoreTime,
        metrics: Metrics,
        live_for: timedelta,
        changed: asyncio.Event,
    ) -> None:
        self._wakeup = wakeup
        self._subscription_filter = subscription_filter
        self._listening = listening
        self._registration = registration
        self._heartbeat = heartbeat
        self._poll_scheduler = poll_scheduler
        self._lease_check = lease_check
        self._contact = contact
        self._exchanges = exchanges
        self._slots = slots
        self._store_time = store_time
        self._metrics = metrics
        self._live_for = live_for
        self._changed = changed
        self._taken = taken
        self._resting = False
        """Whether the worker's loop has nothing to do: then a claim may start without it."""

    @asynccontextmanager
    async def arriving(self) -> AsyncIterator[None]:
        """Hints are followed up until the context ends."""
        async with self._wakeup.subscribe(self.on_hint, self._subscription_filter) as subscription:
            self._listening.subscription = subscription
            yield

    @contextmanager
    def resting(self) -> Iterator[None]:
        """The worker's loop has nothing to do until the context ends: a claim that a hint asks for starts without it."""
        self._resting = True
        self._attend()
        try:
            yield
        finally:  # a loop that was ended claims no more
            self._resting = False

    def on_hint(self, hint: Hint) -> None:
        """Takes the job that came with it, or notes what has to be looked for."""
        self._metrics.count(Counter.WAKEUPS)
        if hint.matched is not None and self._took(hint.matched):
            return
        anything = not hint.queues and not hint.owners
        news = anything or self._registration.incarnation in hint.owners
        if news:
            self._lease_check.request()
            self._heartbeat.ask()
        if anything:
            self._poll_scheduler.hint()
        elif self._subscription_filter.looks_into(hint.queues):
            news = self._poll_scheduler.told(later=hint.later, shared=hint.shared) or news
        if not news:  # as for many, where they let others go first
            return
        try:
            if self._resting and not self._lease_check.requested and not self._contact.waits:
                self._exchanges.prompt()  # not only once the loop has woken up: somebody waits for that job
                self._attend()
        finally:
            self._changed.set()

    def _took(self, job: ClaimedJob) -> bool:
        """Runs a job that was leased to this worker as it was stored, or hands it back where there is no room for it any more.
        False where it is left for a check to find.
        """
        if job.owner != self._registration.incarnation:
            return True  # of an earlier life, which the reaper ends
        if job.lease_id in self._taken:
            return True  # a check was faster
        age = self._store_time.now() - job.claimed_at
        if age > MATCH_AGE_MAX or self._registration.silence() > self._live_for:
            return False
        self._taken.note([job])
        self._exchanges.take_matched(job)
        count_claims(self._metrics, [job])
        self._metrics.count(Counter.JOBS_SYNC_MATCHED)
        self._changed.set()
        return True

    def _attend(self) -> None:
        """Lets hints come while they would be followed up, and go to others while not."""
        subscription = self._listening.subscription
        if subscription is None:
            return
        able = self._exchanges.able and not self._contact.waits
        if not able and self._poll_scheduler.unable():
            subscription.pass_on()
        subscription.attend(
            owner=self._registration.incarnation,
            idle=able and self._exchanges.expectant,
            room=self._slots.free if able else 0,
        )
