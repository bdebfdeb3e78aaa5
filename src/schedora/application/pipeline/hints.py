"""Hints that reach a worker beside its batches: of jobs that wait, and with jobs that were leased to it as they were stored."""

import asyncio

from schedora.application.pipeline.attention import Attention
from schedora.application.pipeline.lease_check import LeaseCheck
from schedora.application.pipeline.listening import Listening
from schedora.application.pipeline.poll_scheduler import PollScheduler
from schedora.application.pipeline.registration import Registration
from schedora.application.pipeline.sync_matches import SyncMatches
from schedora.application.ports.metrics import Counter, Metrics
from schedora.application.ports.wakeup import Hint


class Hints:
    """Sets ``changed`` for whatever gives the worker's loop something to do."""

    def __init__(
        self,
        *,
        listening: Listening,
        registration: Registration,
        poll_scheduler: PollScheduler,
        lease_check: LeaseCheck,
        matches: SyncMatches,
        attention: Attention,
        metrics: Metrics,
        changed: asyncio.Event,
    ) -> None:
        self._listening = listening
        self._registration = registration
        self._poll_scheduler = poll_scheduler
        self._lease_check = lease_check
        self._matches = matches
        self._attention = attention
        self._metrics = metrics
        self._changed = changed

    def on_hint(self, hint: Hint) -> None:
        """Takes the job that came with it, or notes what has to be looked for."""
        self._metrics.count(Counter.WAKEUPS)
        if hint.matched is not None and self._matches.take(hint.matched):
            self._changed.set()
            return
        anything = not hint.queues and not hint.owners
        news = anything or self._registration.incarnation in hint.owners
        if news:
            self._lease_check.request()
            self._registration.ask()
        if anything:
            self._poll_scheduler.hint()
        elif self._listening.looks_into(hint.queues):
            news = self._poll_scheduler.told(later=hint.later, shared=hint.shared) or news
        if not news:  # as for many, where they let others go first
            return
        try:
            if not self._lease_check.requested:
                self._attention.prompt()
        finally:
            self._changed.set()
