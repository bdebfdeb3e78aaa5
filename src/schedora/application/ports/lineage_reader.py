"""What jobs depend on and what depends on them. Reads change nothing and lock nothing."""

from collections.abc import Collection
from typing import Final, Protocol

from schedora.application.telemetry.lineage import Lineage
from schedora.domain.ids import JobId

DEPENDANTS_MAX: Final = 20
"""Of so many dependants of a job their ids are told."""


class LineageReader(Protocol):
    async def lineage(self, job_ids: Collection[JobId], *, upstream_ids: Collection[JobId]) -> Lineage:
        """The dependants of the ones, and what is known of the others. One question, whatever the number."""
        ...
