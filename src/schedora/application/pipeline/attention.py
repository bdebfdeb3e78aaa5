"""Whether a hint would be followed up at once: the wake-up sends hints to workers that would."""

from collections.abc import Iterator
from contextlib import contextmanager

from schedora.application.pipeline.claimer import Claimer
from schedora.application.pipeline.handler_pool import HandlerPool
from schedora.application.pipeline.listening import Listening
from schedora.application.pipeline.poll_scheduler import PollScheduler
from schedora.application.pipeline.registration import Registration
from schedora.application.pipeline.store_contact import StoreContact
from schedora.application.pipeline.store_sync import StoreSync


class Attention:
    def __init__(
        self,
        *,
        listening: Listening,
        registration: Registration,
        contact: StoreContact,
        poll_scheduler: PollScheduler,
        claimer: Claimer,
        pool: HandlerPool,
        store_sync: StoreSync,
    ) -> None:
        self._listening = listening
        self._registration = registration
        self._contact = contact
        self._poll_scheduler = poll_scheduler
        self._claimer = claimer
        self._pool = pool
        self._store_sync = store_sync
        self._resting = False
        """Whether the worker's loop has nothing to do: then a claim may start without it."""

    @contextmanager
    def resting(self) -> Iterator[None]:
        """The worker's loop has nothing to do until the context ends: a claim that a hint asks for starts without it."""
        self._resting = True
        self._tell()
        try:
            yield
        finally:  # a loop that was ended claims no more
            self._resting = False

    def prompt(self) -> None:
        """Starts a claim now if the loop rests, and not only once it has woken up: somebody waits for that job."""
        if self._resting and not self._contact.waits:
            self._store_sync.prompt()
            self._tell()

    def _tell(self) -> None:
        """Lets hints come while they would be followed up, and go to others while not."""
        subscription = self._listening.subscription
        if subscription is None:
            return
        able = self._claimer.able and not self._contact.waits
        if not able and self._poll_scheduler.unable():
            subscription.pass_on()
        subscription.attend(
            owner=self._registration.incarnation,
            idle=able and not self._poll_scheduler.due and not self._store_sync.claims,
            room=self._pool.free if able else 0,
        )
