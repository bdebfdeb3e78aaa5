"""The records of jobs and workflows that have ended: removed once they have been kept for long enough."""

from typing import Protocol

from attrs import frozen

from schedora.domain.retention import Retention


@frozen(kw_only=True)
class Pruned:
    """How many were removed. ``more``: others are likely to be due as well."""

    jobs: int = 0
    workflows: int = 0
    more: bool = False


class Records(Protocol):
    """What a queue says of its own wins over ``retention``. Any number of processes may prune at once; what a
    command is changing is left for later.
    """

    async def prune_jobs(self, retention: Retention, *, limit: int) -> Pruned:
        """Removes jobs outside of workflows that have expired, at most so many, with their idempotency keys.

        Looks at a part of what is stored: all of it is seen over many calls.
        """
        ...

    async def prune_workflows(self, retention: Retention, *, limit: int) -> Pruned:
        """Removes workflows that have ended and of which every job has expired, with all their jobs: as many
        workflows as have ``limit`` jobs together, and always one.

        Looks at a part of what is stored: all of it is seen over many calls.
        """
        ...
