"""Where single jobs come in: several at once, each by itself."""

from collections.abc import Sequence
from typing import Protocol

from schedora.application.ports.jobs import NewJob, Submission


class JobWriter(Protocol):
    async def add(self, jobs: Sequence[NewJob]) -> list[Submission]:
        """As ``JobStore.add``, for jobs outside of workflows; each is durable once this returns, and a hint tells of
        those that are new. One round trip where no key is taken.

        Raises ``StoreUnavailable``; then nothing is known to be stored. A key that an open transaction has taken is
        waited for; for the sake of the others only shortly where there are several jobs: then it raises
        ``LockConflict``. What the store refuses raises what it raises. In both cases nothing is stored.
        """
        ...
